"""Maps to the picture's size along its edges, in the way that settings and recipe name."""

import torch
from torch import Tensor

from iseg.clip_maps.settings import ClipMaps
from iseg.recipe import Recipe
from iseg.state import ImageState
from iseg.upsample import joint_bilateral, separable_bilateral, small_picture, upsampling_stride


def guide_of(state: ImageState, recipe: Recipe) -> Tensor:
    """The picture (3, h, w) in [0, 1] whose edges maps follow."""
    picture = torch.tensor(state.pixels).permute(2, 0, 1).float() / 255
    return small_picture(picture, recipe.decision_size).contiguous()


def along_edges(maps: Tensor, guide: Tensor, settings: ClipMaps, recipe: Recipe) -> Tensor:
    """Maps (K, h, w) -> (K, h', w') along the edges of a picture (3, h', w') in the way in force; their scale stays."""
    cells, range_ = recipe.upsample_cells, recipe.upsample_range
    if settings.way_up(recipe) == "bilateral":
        return separable_bilateral(maps, guide, cells, range_)
    return joint_bilateral(maps, guide, cells, range_, upsampling_stride(guide, max(maps.shape[1:]), cells))
