"""The part of a picture around an object, at a bounded size."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from iseg.markov import Click
from iseg.marks import Box

MARGIN_PIXELS = 6
SMALLEST = 8  # pixels of a window's side

Map = NDArray[np.float32]


@dataclass(frozen=True)
class Window:
    """A part of a picture, rows `top` to `bottom` and columns `left` to `right` (exclusive), cut at (height, width)."""

    top: int
    bottom: int
    left: int
    right: int
    height: int
    width: int

    @property
    def part(self) -> tuple[slice, slice]:
        """Its rows and columns in the picture."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def pixel(self, click: Click) -> tuple[int, int] | None:
        """(row, column) in the window of a click on the picture, None outside of it."""
        column, row = (int(place // 1) for place in self.box((click.x, click.y, click.x, click.y))[:2])
        return (row, column) if 0 <= row < self.height and 0 <= column < self.width else None

    def box(self, box: Box) -> Box:
        """A box of the picture in pixels of the window."""
        down, across = self.height / (self.bottom - self.top), self.width / (self.right - self.left)
        xa, ya, xb, yb = box
        return (xa - self.left) * across, (ya - self.top) * down, (xb - self.left) * across, (yb - self.top) * down


def window_around(piece: NDArray[np.uint8], clicks: Sequence[Click], side: int, margin: float) -> Window:
    """The window around a piece (H, W) of 0 and 1 of a picture and all positive clicks; one of them must be there.

    Args:
        side: longest side in pixels at which it is cut.
        margin: beside `MARGIN_PIXELS`, as a share of the longer side of what it is put around.
    """
    ends = []
    for axis, at in ((1, [each.y for each in clicks if each.inside]), (0, [each.x for each in clicks if each.inside])):
        found = np.nonzero(piece.any(axis))[0]
        ends.append((min([*found[:1], *at]), max([*(found[-1:] + 1), *at])))
    wide = margin * max(high - low for low, high in ends) + MARGIN_PIXELS
    (top, bottom), (left, right) = (
        (max(0, int(low - wide)), min(most, int(high + wide) + 1))
        for (low, high), most in zip(ends, piece.shape, strict=True)
    )
    scale = min(1.0, side / max(bottom - top, right - left))
    height, width = (max(SMALLEST, round(extent * scale)) for extent in (bottom - top, right - left))
    return Window(top, bottom, left, right, height, width)


def shrunk(values: NDArray, window: Window) -> Map:
    """The window of values (H, W) or (H, W, C) of the picture, as float32 at the window's size."""
    part = np.asarray(values[window.part], np.float32)
    return np.asarray(cv2.resize(part, (window.width, window.height), interpolation=cv2.INTER_AREA), np.float32)
