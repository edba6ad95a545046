"""The steps by name, for scores at the picture's size."""

from collections.abc import Callable, Sequence

import torch.nn.functional as F
from torch import Tensor

from iseg.errors import InputError, echo
from iseg.masks import resize
from iseg.polish.crf import crf
from iseg.polish.pamr import pamr
from iseg.polish.superpixels import superpixels
from iseg.upsample import joint_bilateral, small_picture, upsampling_stride

GRID, LONGEST = 64, 512  # cells of the longer side, pixels at which "bilateral" works


def to_edges(maps: Tensor, picture: Tensor) -> Tensor:
    """Maps (K, H, W) -> (K, H, W) float32: averaged on a grid of 64 cells, then joint bilateral upsampling."""
    height, width = picture.shape[1:]
    scale = min(1.0, GRID / max(height, width))
    grid = F.adaptive_avg_pool2d(maps.float(), (max(1, round(height * scale)), max(1, round(width * scale))))
    guide = small_picture(picture, LONGEST).contiguous()
    stride = upsampling_stride(guide, min(grid.shape[1:]), 1.0)
    return resize(joint_bilateral(grid, guide, stride=stride), (height, width))


STEPS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "pamr": pamr,
    "crf": crf,
    "superpixels": superpixels,
    "bilateral": to_edges,
}


def polish(maps: Tensor, picture: Tensor, names: Sequence[str]) -> Tensor:
    """Maps (K, H, W) >= 0 through the named steps, in their order; picture (3, H, W) RGB in [0, 1].

    Raises InputError for a step that is not known or whose package is missing.
    """
    check_steps(names)
    for name in names:
        maps = STEPS[name](maps, picture)
    return maps


def check_steps(names: Sequence[str]) -> None:
    """Raises InputError for a step that is not known."""
    for name in names:
        if name not in STEPS:
            raise InputError(f"unknown step {echo(name)}: expected one of {', '.join(STEPS)}")
