"""What a person corrects by hand: brush strokes and clean-up, on the region (H, W) of one object."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from iseg.errors import InputError
from iseg.marks import Marks, Point
from iseg.pieces import Region, inside_boxes, keep_pieces, looked_up

SMOOTHING = 200  # smoothing takes the majority within (shorter side / SMOOTHING) pixels to each side


@dataclass(frozen=True)
class Stroke:
    """One stroke of the brush or the eraser.

    Attributes:
        points: (x, y) in pixels of the image; pixel i spans [i, i + 1).
        radius: in pixels: a pixel is covered if its centre is that near to the polyline.
        erases: takes away instead of adding.
        order: of painting, over all objects: of two that paint one pixel the later one has it.
    """

    points: tuple[Point, ...]
    radius: float
    erases: bool
    order: int

    def area(self) -> float:
        """Pixels that have to be looked at, for a bound on the work."""
        ends = zip(self.points, [*self.points[1:], self.points[-1]], strict=True)
        return sum((abs(a - c) + 2 * self.radius) * (abs(b - d) + 2 * self.radius) for (a, b), (c, d) in ends)


@dataclass(frozen=True)
class Clean:
    """Clean-up of a region, in this order.

    Attributes:
        clip: nothing outside the object's boxes.
        clicked: only the pieces that a point or line of the object lies in, if there is one.
        largest: only the largest piece (after `clicked` found none).
        holes: holes are filled.
        smooth: each pixel as most of its neighbours.
    """

    clip: bool = False
    clicked: bool = False
    largest: bool = False
    holes: bool = False
    smooth: bool = False

    @property
    def is_idle(self) -> bool:
        """Whether nothing is to be done."""
        return not any(getattr(self, each.name) for each in fields(self))


def covered(stroke: Stroke, width: int, rows: range) -> tuple[slice, slice, NDArray[np.bool_]] | None:
    """Which pixels of some rows of an image a stroke covers: (rows within `rows`, columns, (h, w)); None for none."""
    points = np.array(stroke.points)
    left, top = np.floor(points.min(0) - stroke.radius).astype(int)
    right, bottom = np.ceil(points.max(0) + stroke.radius).astype(int)
    x0, x1 = max(0, left), min(width, right)
    y0, y1 = max(rows.start, top), min(rows.stop, bottom)
    if x0 >= x1 or y0 >= y1:
        return None
    hit = np.zeros((y1 - y0, x1 - x0), bool)
    segments = pairwise(stroke.points) if len(stroke.points) > 1 else [(stroke.points[0],) * 2]
    for a, b in segments:
        _add_segment(hit, np.subtract(a, (x0, y0)), np.subtract(b, (x0, y0)), stroke.radius)
    return slice(y0 - rows.start, y1 - rows.start), slice(x0, x1), hit


def _add_segment(hit: NDArray[np.bool_], a: NDArray, b: NDArray, radius: float) -> None:
    """Set the pixels of `hit` whose centre lies within `radius` of the segment from a to b, both (x, y)."""
    low = np.maximum(np.floor(np.minimum(a, b) - radius).astype(int), 0)
    high = np.minimum(np.ceil(np.maximum(a, b) + radius).astype(int), hit.shape[::-1])
    if (low >= high).any():
        return
    x = np.arange(low[0], high[0])[None] + 0.5 - a[0]
    y = np.arange(low[1], high[1])[:, None] + 0.5 - a[1]
    dx, dy = b - a
    along = np.clip((x * dx + y * dy) / ((dx * dx + dy * dy) or 1), 0, 1)
    hit[low[1] : high[1], low[0] : high[0]] |= (x - along * dx) ** 2 + (y - along * dy) ** 2 <= radius * radius


def clean_region(region: Region, clean: Clean, marks: Marks | None) -> Region:
    """A region (H, W) of 0 and 1 after its clean-up; the points, lines and boxes are those of `marks`."""
    marks = marks or Marks()
    if clean.clip and marks.boxes:
        region = region * inside_boxes(region.shape, marks.boxes)
    if clean.clicked or clean.largest:
        region = keep_pieces(region, marks.through if clean.clicked else [], clean.largest)
    if clean.holes:
        region = _filled(region)
    return _smoothed(region) if clean.smooth else region


def _filled(region: Region) -> Region:
    """Background that no path of 4 neighbours connects to the image's edge becomes part of the region."""
    count, outside = cv2.connectedComponents(1 - region, connectivity=4, ltype=cv2.CV_32S)
    hole = np.ones(count, np.uint8)
    edges = (outside[0], outside[-1], outside[:, 0], outside[:, -1])
    hole[np.unique(np.concatenate(edges))] = 0
    hole[0] = 1  # the region itself
    return looked_up(hole, outside)


def _smoothed(region: Region) -> Region:
    """The majority over a square window; outside of the image there is nothing to count."""
    reach = smoothing(region.shape)
    window = (2 * reach + 1, 2 * reach + 1)
    count = cv2.boxFilter(region, cv2.CV_32S, window, normalize=False, borderType=cv2.BORDER_CONSTANT)
    height, width = region.shape
    rows, columns = (
        np.minimum(np.arange(side) + reach, side - 1) - np.maximum(np.arange(side) - reach, 0) + 1
        for side in (height, width)
    )
    out = np.empty_like(region)
    for y in range(height):  # row by row: no further picture of the window's area
        out[y] = 2 * count[y] > rows[y] * columns
    return out


def smoothing(shape: tuple[int, ...]) -> int:
    """Reach of smoothing in pixels, for an image (H, W)."""
    return max(1, round(min(shape[:2]) / SMOOTHING))


def check_work(strokes: Sequence[Stroke], most: float) -> None:
    """Raises InputError if strokes would have more than `most` pixels looked at."""
    if sum(stroke.area() for stroke in strokes) > most:
        raise InputError("the strokes of an object cover too much: use a smaller brush or fewer strokes")
