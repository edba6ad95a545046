"""Joint bilateral upsampling: maps on the attention grid -> maps whose edges follow the picture's.

`joint_bilateral` is the published form, over a window; `separable_bilateral` goes along rows, then along columns, which
is many times as fast and as good on what was measured (docs/ui.md).
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

PER_CELL = 2.0  # neighbours that are looked at in each direction per spatial sigma
REACH = 9.0  # squared distance in units of the spatial sigma up to which neighbours count
ROUNDS = 2  # of rows and columns, one after the other

Pull = tuple[int, Tensor]  # how many pixels away neighbours are, and how much each pair of pixels counts


def joint_bilateral(maps: Tensor, guide: Tensor, cells: float = 1.0, range_: float = 0.1, stride: int = 1) -> Tensor:
    """Maps (K, h, w) -> (K, H, W) float32: bilinear, then a weighted mean over each pixel's neighbourhood.

    A neighbour (dy, dx) pixels away counts with `exp(-q / 2) exp(-|I - I'|^2 / (2 range^2))`, `q = (dy h / (H a))^2 +
    (dx w / (W a))^2 <= 9`; those outside the picture are left out (M2N2, arXiv 2411.10411, with a 1 and range 0.1).

    Args:
        maps: of any range.
        guide: (3, H, W) RGB in [0, 1], on the device of the maps.
        cells: a, the spatial sigma in cells of the grid.
        range_: the sigma of colours.
        stride: only every so many-th neighbour of each direction is looked at; 1 = all. Maps are smooth within a cell,
            so that two or three neighbours per cell do.
    """
    height, width = guide.shape[1:]
    large = F.interpolate(maps[None].float(), (height, width), mode="bilinear", align_corners=False)[0]
    total, weight = large.clone(), torch.ones_like(guide[0])  # a pixel's own weight is 1
    colours = guide.float() * (1 / (range_ * math.sqrt(2)))
    for dy, dx, q in _half_window(maps.shape[1] / (height * cells), maps.shape[2] / (width * cells), stride):
        if dy >= height or abs(dx) >= width:
            continue
        # the pixels that have this neighbour, and these neighbours, which have them at (-dy, -dx)
        here = (..., slice(0, height - dy), slice(max(0, -dx), width - max(0, dx)))
        there = (..., slice(dy, height), slice(max(0, dx), width + min(0, dx)))
        near = (colours[here] - colours[there]).square_().sum(0).add_(q / 2).neg_().exp_()
        weight[here] += near
        weight[there] += near
        total[here].addcmul_(large[there], near)
        total[there].addcmul_(large[here], near)
    return total.div_(weight)


def _half_window(row_scale: float, column_scale: float, stride: int) -> list[tuple[int, int, float]]:
    """The offsets (dy, dx, q) of one half of the window: of the other half the signs are turned."""
    reach = math.sqrt(REACH) * (1 + 1e-12)
    down, across = (math.floor(reach / (scale * stride)) for scale in (row_scale, column_scale))
    window = []
    for dy in range(0, down + 1):
        for dx in range(-across, across + 1):
            q = (dy * stride * row_scale) ** 2 + (dx * stride * column_scale) ** 2
            if (dy, dx) > (0, 0) and q <= REACH:
                window.append((dy * stride, dx * stride, q))
    return window


def separable_bilateral(
    maps: Tensor, guide: Tensor, cells: float = 1.5, range_: float = 0.07, rounds: int = ROUNDS
) -> Tensor:
    """Maps (K, h, w) -> (K, H, W) float32: bilinear, then weighted means along each row and then along each column.

    A neighbour d pixels away in a row counts with `exp(-(d w / (W a))^2 / 2) exp(-|I - I'|^2 / (2 range^2))`, up to
    three sigmas, a being `cells`; likewise in a column. Only every so many-th neighbour is looked at, two per sigma.

    Args:
        maps: of any range.
        guide: (3, H, W) RGB in [0, 1], on the device of the maps.
        cells: the spatial sigma in cells of the grid.
        range_: the sigma of colours.
        rounds: how often both means are taken: more round a corner.
    """
    height, width = guide.shape[1:]
    large = F.interpolate(maps[None].float(), (height, width), mode="bilinear", align_corners=False)[0]
    colours = guide.float() * (1 / (range_ * math.sqrt(2)))
    sigmas = {2: width * cells / maps.shape[2], 1: height * cells / maps.shape[1]}
    pulls = {axis: _pulls(colours, axis, sigma) for axis, sigma in sigmas.items()}
    for _ in range(rounds):
        for axis, (near, weight) in pulls.items():
            large = _mean_along(large, axis, near) / weight
    return large


def _pulls(colours: Tensor, axis: int, sigma: float) -> tuple[list[Pull], Tensor]:
    """How neighbours along an axis of (3, H, W) count, each distance once, and the sum (H, W) for each pixel."""
    length, stride = colours.shape[axis], max(1, int(sigma / PER_CELL))
    weight = torch.ones_like(colours[0])  # a pixel's own weight is 1
    near: list[Pull] = []
    for away in range(stride, min(length - 1, math.floor(math.sqrt(REACH) * sigma)) + 1, stride):
        left, right = colours.narrow(axis, 0, length - away), colours.narrow(axis, away, length - away)
        pull = (left - right).square_().sum(0).add_((away / sigma) ** 2 / 2).neg_().exp_()
        weight.narrow(axis - 1, 0, length - away).add_(pull)
        weight.narrow(axis - 1, away, length - away).add_(pull)
        near.append((away, pull))
    return near, weight


def _mean_along(maps: Tensor, axis: int, near: list[Pull]) -> Tensor:
    """Each pixel of (K, H, W) and its neighbours along an axis, weighted and summed."""
    total, length = maps.clone(), maps.shape[axis]
    for away, pull in near:
        left, right = maps.narrow(axis, 0, length - away), maps.narrow(axis, away, length - away)
        total.narrow(axis, 0, length - away).addcmul_(right, pull)
        total.narrow(axis, away, length - away).addcmul_(left, pull)
    return total


def small_picture(picture: Tensor, longest: int | None) -> Tensor:
    """A picture (3, H, W) in [0, 1], made smaller if its longer side has more than `longest` pixels (None = any).

    Colours stay those of 8 bits, so that the page can be sent the very same picture.
    """
    height, width = picture.shape[1:]
    scale = 1.0 if longest is None else min(1.0, longest / max(height, width))
    if scale == 1.0:
        return picture
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    small = F.interpolate(picture[None], size, mode="bilinear", align_corners=False, antialias=True)[0]
    return small.mul_(255).round_().clamp_(0, 255).div_(255)


def upsampling_stride(guide: Tensor, grid_size: int, cells: float) -> int:
    """The largest stride of `joint_bilateral` that still looks at two neighbours per spatial sigma."""
    return max(1, int(min(guide.shape[1:]) * cells / (grid_size * PER_CELL)))
