"""The simulated user of interactive segmentation: where the next click goes, and how many were needed. Pure functions.

Two protocols: that of the field (RITM, arXiv 2102.06583; SimpleClick and SAM are evaluated so), and the one that M2N2's
numbers were made with.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from iseg.markov import Click

Protocol = Literal["ritm", "m2n2"]
PROTOCOLS: tuple[Protocol, ...] = ("ritm", "m2n2")
LIMIT = 20  # clicks
TARGETS = (0.85, 0.90)  # of the NoC that is reported


@dataclass(frozen=True)
class Truth:
    """An object: `region` (H, W) bool, and pixels `ignored` (H, W) bool that neither count nor are clicked."""

    region: NDArray[np.bool_]
    ignored: NDArray[np.bool_]


def depth(region: NDArray[np.bool_]) -> NDArray[np.float32]:
    """How far in pixels each pixel (H, W) of a region is from its outside, exactly; off the image is outside."""
    padded = np.pad(region.astype(np.uint8), 1)
    return np.asarray(cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1], np.float32)


def next_click(truth: Truth, mask: NDArray[np.bool_], clicked: Iterable[tuple[int, int]] = ()) -> Click:
    """RITM's next click: the innermost pixel of what is missing or of what is too much, whichever is deeper.

    Args:
        truth: of the object.
        mask: (H, W), what the clicks so far give.
        clicked: pixels (row, column) of these clicks; none is clicked twice.

    Of equally deep pixels the first in the order of rows; where both errors are equally deep the click is negative.
    """
    missing = depth(truth.region & ~mask & ~truth.ignored)
    surplus = depth(~truth.region & mask & ~truth.ignored)
    for pixel in clicked:
        missing[pixel] = surplus[pixel] = 0
    inside = bool(missing.max() > surplus.max())
    return _deepest(missing if inside else surplus, inside)


def next_click_m2n2(truth: Truth, mask: NDArray[np.bool_]) -> Click:
    """The next click of M2N2's own evaluation: the innermost pixel of all errors, its sign that of the truth there.

    Nothing is ignored and earlier clicks are not remembered. Without an error the click goes into the object.
    """
    wrong = truth.region != mask
    inner = depth(wrong if wrong.any() else truth.region)
    row, column = np.unravel_index(int(inner.argmax()), inner.shape)
    return Click(int(column), int(row), bool(truth.region[row, column]))


def _deepest(inner: NDArray[np.float32], inside: bool) -> Click:
    row, column = np.unravel_index(int(inner.argmax()), inner.shape)
    return Click(int(column), int(row), inside)


def overlap(truth: Truth, mask: NDArray[np.bool_]) -> float:
    """IoU of a mask (H, W) and the object over the pixels that are not ignored; 1 where both are empty."""
    known = ~truth.ignored
    union = int(((truth.region | mask) & known).sum())
    return int((truth.region & mask & known).sum()) / union if union else 1.0


def clicks_needed(ious: Sequence[float], target: float, limit: int = LIMIT) -> int:
    """NoC: the first click whose IoU is at least `target`; `limit` where none is."""
    return next((k for k, iou in enumerate(ious[:limit], 1) if iou >= target), limit)


def failed(ious: Sequence[float], target: float, limit: int = LIMIT) -> bool:
    """Whether no click up to the limit reaches the target."""
    return not any(iou >= target for iou in ious[:limit])


def continued(ious: Sequence[float], limit: int = LIMIT) -> list[float]:
    """The IoU after 1..limit clicks of an object whose clicks ended early: the last one stays."""
    kept = list(ious[:limit])
    return kept + kept[-1:] * (limit - len(kept))
