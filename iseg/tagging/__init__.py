"""Labels of images for any words (TagCLIP, arXiv 2312.12828), and label-then-segment."""

from iseg.tagging.settings import TagClip, load_tagging
from iseg.tagging.tagger import Tagger, Tags
from iseg.tagging.vocabulary import read_vocabulary, tag_then_segment, tagger_for

__all__ = ["TagClip", "Tagger", "Tags", "load_tagging", "read_vocabulary", "tag_then_segment", "tagger_for"]
