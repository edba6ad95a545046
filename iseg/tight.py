"""Which places in a box belong to what it was drawn around: those whose own maps reach its four sides.

A box is drawn tightly around an object, so a place of the object has a map about as wide and as high as the box; one of
what lies over or behind the object has not (an extension of the method).
"""

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from iseg import masks, refine
from iseg.absorb import LOWER, otsu
from iseg.marks import Box

PLACES = 100  # about as many are looked at
BEST = 20  # of them count, at most
LEAST = 0.6  # a map that fills less of its box tells nothing
BEHIND = 0.1  # the others may fill this much less than the best
Cells = NDArray[np.bool_]


def fitting_map(matrix: Tensor, cells: Tensor, bounds: Box, iterations: int) -> Tensor | None:
    """The mean map of the places in a box whose own maps fill it best; None where none fills it.

    Args:
        matrix: (HW, HW) self-attention, entropy reduced, rows = queries.
        cells: (HW,) bool, those that the box reaches into; at least one.
        bounds: of the box (x0, y0, x1, y1), in cells.

    Returns:
        (HW,) float32 in [0, 1].
    """
    side = round(cells.numel() ** 0.5)
    places = spread(cells.reshape(side, side).cpu().numpy(), PLACES)
    columns = torch.zeros(cells.numel(), len(places))
    columns[places, range(len(places))] = 1
    maps = masks.min_max(refine.refine(matrix, columns, iterations).T.float().reshape(-1, side, side))
    fills = np.array([filled(one, place, bounds) for one, place in zip(maps.cpu(), places, strict=True)])
    best = np.argsort(-fills, kind="stable")[:BEST]
    if fills[best[0]] <= LEAST:
        return None
    chosen = best[fills[best] >= fills[best[0]] - BEHIND]
    return masks.min_max(maps[torch.from_numpy(chosen).to(maps.device)].mean(0, keepdim=True))[0].flatten()


def spread(box: Cells, count: int) -> list[int]:
    """Indices of about `count` cells of a box (h, w), evenly spread; all of them where there are fewer."""
    rows, columns = np.nonzero(box)
    step = max(1, int((len(rows) / count) ** 0.5))
    taken = ((rows - rows.min()) % step == step // 2) & ((columns - columns.min()) % step == step // 2)
    taken = taken if taken.any() else np.ones_like(taken)
    return (rows * box.shape[1] + columns)[taken].tolist()


def filled(values: Tensor, place: int, bounds: Box) -> float:
    """How well a place's map (h, w) fills a box: the IoU of its piece's bounding box and the box, in cells."""
    above = (values >= LOWER * otsu(values.flatten())).numpy().astype(np.uint8)
    if not above.flat[place]:
        return 0.0
    pieces = cv2.connectedComponents(above)[1]
    own = pieces == pieces.flat[place]
    columns, rows = np.nonzero(own.any(0))[0], np.nonzero(own.any(1))[0]
    return _box_iou((columns[0], rows[0], columns[-1] + 1, rows[-1] + 1), bounds)


def _box_iou(a: Box, b: Box) -> float:
    shared = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = [(each[2] - each[0]) * (each[3] - each[1]) for each in (a, b)]
    return float(shared / (sum(areas) - shared))
