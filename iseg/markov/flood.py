"""Where a flood that rises from a click gets to: the distance map of a click."""

import numpy as np
from numpy.typing import NDArray


def flood(steps: NDArray, row: int, column: int) -> NDArray:
    """The lowest level at which a flood from a pixel reaches each pixel of a map (H, W): (H, W), same dtype.

    That is the smallest, over paths of 4-neighbours from the pixel, of the largest `|m - m(pixel)|` on the path: things
    of the same kind that lie apart come apart. Four sweeps (right, left, down, up) pass the level from line to line,
    each for a whole line at once, until none changes anything.
    """
    own = np.abs(steps - steps[row, column])
    level = np.full_like(own, np.inf)
    level[row, column] = 0
    pairs = [(level, own), (level.T, own.T)]
    while True:
        before = level.copy()
        for reaches, bounds in pairs:
            lines = len(reaches)
            for k in range(1, lines):
                np.minimum(reaches[k], np.maximum(bounds[k], reaches[k - 1]), out=reaches[k])
            for k in range(lines - 2, -1, -1):
                np.minimum(reaches[k], np.maximum(bounds[k], reaches[k + 1]), out=reaches[k])
        if np.array_equal(before, level):
            return level
