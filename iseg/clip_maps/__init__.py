"""First maps of any words from CLIP (CLIPer, arXiv 2411.13836), refined by Stable Diffusion's self-attention."""

from iseg.clip_maps.settings import ClipMaps, chosen_preset, load_clip_maps

__all__ = ["ClipMaps", "chosen_preset", "load_clip_maps"]
