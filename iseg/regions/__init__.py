"""Regions without words: self-attention -> label map, by DiffSeg's merging, DiffCut's cuts, or our own recipe."""

from iseg.regions.cut import CutTree, affinity, normalized_cut
from iseg.regions.features import place_features, spread_anchors
from iseg.regions.find import METHODS, Regions, RegionSettings, find_regions
from iseg.regions.merge import merge_proposals

__all__ = [
    "METHODS",
    "CutTree",
    "RegionSettings",
    "Regions",
    "affinity",
    "find_regions",
    "merge_proposals",
    "normalized_cut",
    "place_features",
    "spread_anchors",
]
