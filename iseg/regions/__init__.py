"""Regions without words: self-attention -> label map, by DiffSeg's merging, DiffCut's cuts, or our own recipe."""

from iseg.regions.cut import CutTree, affinity, normalized_cut
from iseg.regions.features import place_features, spread_anchors
from iseg.regions.find import Regions, find_regions
from iseg.regions.layers import aggregate
from iseg.regions.merge import merge_proposals
from iseg.regions.settings import METHODS, RegionSettings

__all__ = [
    "METHODS",
    "CutTree",
    "RegionSettings",
    "Regions",
    "affinity",
    "aggregate",
    "find_regions",
    "merge_proposals",
    "normalized_cut",
    "place_features",
    "spread_anchors",
]
