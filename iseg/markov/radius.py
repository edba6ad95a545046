"""How far a click reaches: of all thresholds of its distance map, the one with the best edge."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

AREA_LIMIT = 0.4  # share of the image that a click's region stays below
LEVELS = 1024  # of the gradient


@dataclass(frozen=True)
class Borders:
    """The outer borders of the regions that grow pixel by pixel, region k = the first k + 1 pixels in `order`.

    Attributes:
        order: (HW,) flat pixels, nearest first; equal ones in the order of the image.
        length, total: (HW,) of each region's border: pixels, and sum of the edge values.
    """

    order: NDArray[np.int64]
    length: NDArray[np.int64]
    total: NDArray[np.int64]

    @property
    def mean(self) -> NDArray[np.float64]:
        """(HW,) mean edge value on the border; 0 where there is none."""
        return self.total / np.maximum(self.length, 1)


def edges(distance: NDArray) -> NDArray[np.int64]:
    """Gradient (H, W) in 0..1024: magnitude of 3x3 Sobel, reflect padding, over its maximum, rounded down."""
    padded = np.pad(np.asarray(distance, np.float64), 1, mode="reflect")
    smooth_rows = padded[:-2] + 2 * padded[1:-1] + padded[2:]
    smooth_columns = padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]
    across = smooth_rows[:, 2:] - smooth_rows[:, :-2]
    down = smooth_columns[2:] - smooth_columns[:-2]
    strength = np.sqrt(across**2 + down**2)
    return np.floor(LEVELS * strength / (strength.max() or 1)).astype(np.int64)


def borders(distance: NDArray, edge: NDArray[np.int64]) -> Borders:
    """The borders of all regions of a distance map (H, W), in one pass.

    A pixel is border from the lowest rank of its 4 neighbours until its own rank: one up there, one down here, and
    cumulative sums.
    """
    order = np.argsort(distance, axis=None, kind="stable")
    count = order.size
    rank = np.empty(count, np.int64)
    rank[order] = np.arange(count)
    framed = np.pad(rank.reshape(distance.shape), 1, constant_values=count)
    first = np.minimum.reduce([framed[:-2, 1:-1], framed[2:, 1:-1], framed[1:-1, :-2], framed[1:-1, 2:]]).ravel()
    touches = first < rank
    begins, ends, weights = first[touches], rank[touches], edge.ravel()[touches]
    ones = np.bincount(begins, minlength=count) - np.bincount(ends, minlength=count)
    sums = np.bincount(begins, weights, minlength=count) - np.bincount(ends, weights, minlength=count)
    return Borders(order, np.cumsum(ones), np.cumsum(np.rint(sums).astype(np.int64)))


@dataclass(frozen=True)
class Profile:
    """What a click's distance map says of every threshold, whatever the other clicks are; kept per click.

    Attributes:
        thresholds: (HW - 1,) rising.
        edge: (HW - 1,) mean edge value on the border of each threshold's region.
        largest: of the map.
    """

    thresholds: NDArray
    edge: NDArray[np.float64]
    largest: float

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self.thresholds.nbytes + self.edge.nbytes


def profile(distance: NDArray) -> Profile:
    """The profile of a distance map (H, W)."""
    found = borders(distance, edges(distance))
    return Profile(distance.ravel()[found.order][:-1], found.mean[:-1], float(distance.max()))


def scores(
    of: Profile, same: Sequence[float], other: Sequence[float], area_limit: float | None = AREA_LIMIT
) -> NDArray[np.float64]:
    """How good each threshold of a click is (HW - 1,).

    Args:
        of: the click's distance map.
        same, other: its values at the clicks of the same sign (itself too), and of the other sign.
        area_limit: share of the image that a region stays below; None = any.

    The score is the product of the border's mean edge, the share of `same` within the threshold, and 0 or 1 for the
    area, and for a threshold below all of `other` and the map's maximum.
    """
    count = len(of.thresholds)
    score = of.edge * (np.searchsorted(np.sort(np.asarray(same, of.thresholds.dtype)), of.thresholds, side="right"))
    score /= len(same)
    score[np.searchsorted(of.thresholds, min([*other, of.largest]), side="left") :] = 0
    if area_limit is not None:
        score *= np.arange(count) / max(1, count - 1) < area_limit
    return score


def radii(
    distances: Sequence[NDArray],
    signs: Sequence[bool],
    pixels: Sequence[tuple[int, int]],
    area_limit: float | None = AREA_LIMIT,
    profiles: Sequence[Profile] | None = None,
) -> NDArray[np.float64]:
    """The radius (n,) of each of n clicks: the threshold of the first best score (of no good one: the first).

    Args:
        distances: n maps (H, W). signs: True = in the object. pixels: (row, column) of the clicks.
        profiles: of the maps, where they are at hand.
    """
    chosen = []
    for k, (distance, sign) in enumerate(zip(distances, signs, strict=True)):
        values = {own: [float(distance[p]) for p, s in zip(pixels, signs, strict=True) if s is own]
                  for own in (True, False)}  # fmt: skip
        of = profiles[k] if profiles is not None else profile(distance)
        score = scores(of, values[sign], values[not sign], area_limit)
        chosen.append(float(of.thresholds[score.argmax()]) if len(score) else 0.0)
    return np.array(chosen)
