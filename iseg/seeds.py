"""Points, lines, boxes and rough masks (pixels) -> seed columns on the attention grid (method step 7)."""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from iseg.errors import InputError
from iseg.marks import Box, Marks, Point, as_box


def columns(marks: Marks, image_size: tuple[int, int], grid_size: int = 64) -> tuple[Tensor, Tensor | None]:
    """Seed columns of one object: (HW, K) of all that is in it, and (HW, K') of the negative points, None without any.

    Points and lines give one column per cell they touch, each box one more column. Raises InputError for marks outside
    the image, and if nothing but negative points was given.
    """
    for each in marks.lines:
        _one_hot(each, image_size, grid_size)  # a point outside is named as it was given
    samples = [*marks.points, *(point for each in marks.lines for point in rasterize(each, image_size, grid_size))]
    parts = [_one_hot(samples, image_size, grid_size)] if samples else []
    parts += [box(each, image_size, grid_size) for each in marks.boxes]
    if not parts:
        raise InputError("nothing was marked: expected a point, a line or a box in the object")
    negative = _one_hot(marks.negative, image_size, grid_size) if marks.negative else None
    return torch.cat(parts, 1), negative


def cell(point: Point, image_size: tuple[int, int], grid_size: int) -> tuple[int, int]:
    """Grid cell (row, column) of a pixel (x, y) in an image of size (H, W).

    Raises InputError if the pixel lies outside the image.
    """
    (x, y), (height, width) = point, image_size
    if not (0 <= x < width and 0 <= y < height):
        raise InputError(
            f"point ({x:g}, {y:g}) is outside the image: x must be in 0..{width - 1}, y in 0..{height - 1}"
        )
    return int(y * grid_size // height), int(x * grid_size // width)


def points(points: Sequence[Point], image_size: tuple[int, int], grid_size: int = 64) -> Tensor:
    """One one-hot column per distinct cell that holds a point.

    Args:
        points: K pixels (x, y).
        image_size: (H, W) of the image in pixels.
        grid_size: side of the square attention grid.

    Returns:
        (HW, K') float32, K' <= K: points that share a cell are merged, first come first.
    """
    if not points:
        raise InputError("no point was given: expected at least one pixel (x, y)")
    return _one_hot(points, image_size, grid_size)


def line(points: Sequence[Point], image_size: tuple[int, int], grid_size: int = 64) -> Tensor:
    """One one-hot column per cell that the pixels (x, y) of a line touch: (HW, K) float32, duplicates merged.

    The pixels are taken as they are, as in the published interactive mode; `rasterize` first gives a line without
    gaps between pixels that lie far apart.
    """
    if not points:
        raise InputError("the line has no point: expected at least one pixel (x, y)")
    return _one_hot(points, image_size, grid_size)


def rasterize(points: Sequence[Point], image_size: tuple[int, int], grid_size: int = 64) -> list[Point]:
    """Fill in a polyline through pixels (x, y): samples at most a quarter of a cell apart, the given ones included."""
    height, width = image_size
    samples: list[Point] = list(points[:1])
    for (x0, y0), (x1, y1) in pairwise(points):
        cells_long = max(abs(x1 - x0) * grid_size / width, abs(y1 - y0) * grid_size / height)
        steps = np.linspace(0, 1, int(np.ceil(4 * cells_long)) + 1)[1:]
        samples.extend((x0 + (x1 - x0) * step, y0 + (y1 - y0) * step) for step in steps)
    return samples


def _one_hot(samples: Sequence[Point], image_size: tuple[int, int], grid_size: int) -> Tensor:
    """(HW, K) one-hot columns of the distinct cells under the pixels (x, y), first come first."""
    cells = list(dict.fromkeys(cell(point, image_size, grid_size) for point in samples))
    columns = torch.zeros(grid_size**2, len(cells))
    for k, (row, column) in enumerate(cells):
        columns[row * grid_size + column, k] = 1
    return columns


def box(box: Box, image_size: tuple[int, int], grid_size: int = 64) -> Tensor:
    """Ones in the cells of a box: (HW, 1) float32.

    Args:
        box: corners (x0, y0, x1, y1) in pixels in any order, the far edges exclusive, within the image.
        image_size: (H, W) of the image in pixels.
        grid_size: side of the square attention grid.

    A box thinner than one cell still covers its cell. Raises InputError for a box outside the image or without area.
    """
    x0, x1 = sorted((box[0], box[2]))
    y0, y1 = sorted((box[1], box[3]))
    height, width = image_size
    if x0 < 0 or y0 < 0 or x1 > width or y1 > height:
        raise InputError(f"box {_text(box)} is outside the image: x must be in 0..{width}, y in 0..{height}")
    if x0 == x1 or y0 == y1:
        raise InputError(f"box {_text(box)} is empty: expected x0,y0,x1,y1 with x0 < x1 and y0 < y1")
    left, right = int(x0 * grid_size // width), int(x1 * grid_size // width)
    top, bottom = int(y0 * grid_size // height), int(y1 * grid_size // height)
    grid = torch.zeros(grid_size, grid_size)
    grid[top : max(bottom, top + 1), left : max(right, left + 1)] = 1
    return grid.reshape(-1, 1)


def boxes(boxes: Sequence[Box], image_size: tuple[int, int], grid_size: int = 64) -> Tensor:
    """One column per box: (HW, K) float32. Raises InputError as `box` does, and for no box."""
    if not hasattr(boxes, "__len__") or not len(boxes):
        raise InputError("no box was given: expected at least one (x0, y0, x1, y1)")
    return torch.cat([box(as_box(each, "boxes"), image_size, grid_size) for each in boxes], 1)


def touched(boxes: Sequence[Box], image_size: tuple[int, int], grid_size: int = 64) -> Tensor:
    """Cells that boxes (x0, y0, x1, y1) within the image reach into, however little: (HW,) bool."""
    (height, width), cells = image_size, torch.zeros(grid_size, grid_size, dtype=torch.bool)
    for xa, ya, xb, yb in boxes:
        (x0, x1), (y0, y1) = sorted((xa, xb)), sorted((ya, yb))
        rows = slice(int(y0 * grid_size // height), math.ceil(y1 * grid_size / height))
        cells[rows, int(x0 * grid_size // width) : math.ceil(x1 * grid_size / width)] = True
    return cells.flatten()


def from_maps(maps: np.ndarray | Tensor, grid_size: int = 64) -> Tensor:
    """First maps of any origin (K, h, w), non-negative -> columns (HW, K) float32: bilinear to the grid.

    Raises InputError for another shape, and for values that are negative or not finite.
    """
    try:
        given = torch.as_tensor(maps)
    except (TypeError, ValueError, RuntimeError):
        raise InputError(f"maps are {maps!r:.80}: expected an array (K, h, w)") from None
    if given.ndim != 3 or 0 in given.shape or given.dtype == torch.bool or given.is_complex():
        raise InputError(f"maps are {given.dtype} of shape {tuple(given.shape)}: expected (K, h, w) numbers")
    given = given.float()
    if not torch.isfinite(given).all() or given.amin() < 0:
        raise InputError(f"maps hold {given.amin():g}..{given.amax():g}: expected finite values of at least 0")
    # antialias: of a finer map every value counts
    finer = max(given.shape[1:]) > grid_size
    resized = F.interpolate(given[None], (grid_size, grid_size), mode="bilinear", antialias=finer)[0]
    return resized.flatten(1).T.contiguous()


def rough_mask(mask: np.ndarray, grid_size: int = 64) -> Tensor:
    """Share of every cell that a 0/1 mask (H, W) covers: (HW, 1) float32. Raises InputError if it is empty."""
    if mask.ndim != 2 or not np.any(mask):
        raise InputError(
            f"the seed mask of shape {mask.shape} is empty: expected (H, W) with at least one non-zero pixel"
        )
    full = torch.from_numpy(np.ascontiguousarray(mask != 0)).float()[None, None]
    return F.adaptive_avg_pool2d(full, grid_size).reshape(-1, 1)


def merge(columns: Tensor) -> Tensor:
    """Refined seed columns of one object -> one column: each divided by its maximum, averaged, divided by the maximum.

    (..., HW, K) -> (..., HW, 1), maximum 1; a column that is all zero stays so.
    """
    mean = _unit_maximum(columns).mean(-1, keepdim=True)
    return _unit_maximum(mean)


def shared(maps: Tensor, against: Tensor) -> Tensor:
    """Maps m >= 0 -> m * m / (m + n), n = `against` of the same shape; 0 where both are 0."""
    both = maps + against
    return maps * maps / torch.where(both > 0, both, torch.ones_like(both))


def _unit_maximum(columns: Tensor) -> Tensor:
    peak = columns.amax(-2, keepdim=True)
    return columns / torch.where(peak > 0, peak, torch.ones_like(peak))


def _text(box: Sequence[float]) -> str:
    return ",".join(f"{value:g}" for value in box)
