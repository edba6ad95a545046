"""Labels of images for any words (TagCLIP, arXiv 2312.12828), and label-then-segment."""

from iseg.tagging.settings import TagClip, load_tagging
from iseg.tagging.tagger import Tagger, Tags

__all__ = ["TagClip", "Tagger", "Tags", "load_tagging"]
