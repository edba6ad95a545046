"""First maps of any words from CLIP (CLIPer, arXiv 2411.13836), refined by Stable Diffusion's self-attention."""

from iseg.clip_maps.segment import Found
from iseg.clip_maps.settings import ClipMaps, chosen_preset, load_clip_maps
from iseg.clip_maps.source import ClipSource
from iseg.clip_maps.vocabulary import segment_words, source_for

__all__ = ["ClipMaps", "ClipSource", "Found", "chosen_preset", "load_clip_maps", "segment_words", "source_for"]
