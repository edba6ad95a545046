"""Connected pieces of a region, and what lies in boxes."""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from iseg.marks import Point

ROWS = 256

Region = NDArray[np.uint8]  # 0 or 1


def keep_pieces(region: Region, points: Iterable[Point], largest: bool) -> Region:
    """Pieces (8 neighbours) of a region (H, W) that a point (x, y) lies in; without any the largest, or all."""
    _, pieces, stats, _ = cv2.connectedComponentsWithStats(region, connectivity=8, ltype=cv2.CV_32S)
    height, width = region.shape
    touched = {int(pieces[min(height - 1, int(y)), min(width - 1, int(x))]) for x, y in points if x >= 0 and y >= 0}
    touched -= {0}
    keep = np.zeros(len(stats), np.uint8)
    if touched:
        keep[list(touched)] = 1
    elif largest and len(stats) > 1:
        keep[1 + stats[1:, cv2.CC_STAT_AREA].argmax()] = 1
    else:
        return region
    return looked_up(keep, pieces)


def each_piece(labels: NDArray[Any], ids: Iterable[int], share: float) -> Iterator[NDArray[np.bool_]]:
    """The connected pieces (H, W) (8 neighbours) of some ids in labels (H, W) that cover at least `share` of all."""
    for index in ids:
        count, numbered = cv2.connectedComponents((labels == index).astype(np.uint8), connectivity=8)
        regions = (numbered == k for k in range(1, count))
        yield from (region for region in regions if region.mean() >= share)


def inside_boxes(shape: tuple[int, ...], boxes: Sequence[Sequence[float]]) -> Region:
    """Pixels (H, W) whose centre lies in one of the boxes (x0, y0, x1, y1), corners in any order."""
    inside = np.zeros(shape, np.uint8)
    for xa, ya, xb, yb in boxes:
        rows, columns = (
            slice(*(max(0, math.ceil(side - 0.5)) for side in sorted(pair))) for pair in ((ya, yb), (xa, xb))
        )
        inside[rows, columns] = 1
    return inside


def looked_up(table: Region, labels: NDArray[Any]) -> Region:
    """table[labels] for labels (H, W), some rows at a time: NumPy would widen all indices to 8 bytes each."""
    out = np.empty(labels.shape, np.uint8)
    for top in range(0, len(labels), ROWS):
        out[top : top + ROWS] = table[labels[top : top + ROWS]]
    return out
