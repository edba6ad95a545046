"""A binary cut with smooth, edge-following borders: the continuous form of a graph cut, solved whole.

Minimizes over u (H, W) in [0, 1] the sum of `cost * u` and of `weight * |u - u'|` over 4-neighbours, which has a
solution of zeros and ones (Chambolle and Pock's primal-dual steps, JMIV 2011).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.float32]

STEP = 0.35  # of both sides: the square times 8, the norm of differences on a grid, stays below 1


def edge_weights(picture: Map, strength: float, least: float, colours: float) -> tuple[Map, Map]:
    """How much a border between neighbours costs: `strength * exp(-|I - I'|^2 / (2 colours^2)) + least`.

    Args:
        picture: (H, W, C) in [0, 1].

    Returns:
        (H, W - 1) between neighbours in a row, (H - 1, W) between those in a column.
    """
    across = ((picture[:, 1:] - picture[:, :-1]) ** 2).sum(-1)
    down = ((picture[1:] - picture[:-1]) ** 2).sum(-1)
    near = -1 / (2 * colours**2)
    weights = [strength * np.exp(each * near) + least for each in (across, down)]
    return weights[0].astype(np.float32), weights[1].astype(np.float32)


@dataclass(frozen=True)
class Cut:
    """Where a cut stands: `inside` (H, W) in [0, 1], its mask is what is at least 0.5; the flows over the borders."""

    inside: Map
    across: Map
    down: Map


def cut(cost: Map, across: Map, down: Map, rounds: int, start: Cut | None = None) -> Cut:
    """The cut after so many rounds.

    Args:
        cost: (H, W) of being inside; negative where inside is cheaper.
        across, down: see `edge_weights`.
        start: an earlier cut of the same size, from which fewer rounds lead to the end if the costs are alike.
    """
    height, width = cost.shape
    step = np.float32(STEP)
    cost, across, down = step * cost, step * across, step * down
    if start is None:
        inside = (cost < 0).astype(np.float32)
        rows, columns = np.zeros((height, width + 1), np.float32), np.zeros((height + 1, width), np.float32)
    else:
        inside, rows, columns = (each.copy() for each in (start.inside, start.across, start.down))
    ahead, after = inside.copy(), np.empty_like(inside)
    flows = [(rows[:, 1:-1], across, np.empty_like(across), 1), (columns[1:-1], down, np.empty_like(down), 0)]
    limits = [-across, -down]
    for _ in range(rounds):  # in place: fresh memory would take half of the time
        for (flow, most, change, axis), least in zip(flows, limits, strict=True):
            later, earlier = (ahead[:, 1:], ahead[:, :-1]) if axis else (ahead[1:], ahead[:-1])
            np.subtract(later, earlier, out=change)
            change *= step * step
            flow += change
            np.minimum(flow, most, out=flow)
            np.maximum(flow, least, out=flow)
        np.subtract(rows[:, 1:], rows[:, :-1], out=after)
        after += columns[1:]
        after -= columns[:-1]
        after -= cost
        after += inside
        np.clip(after, 0, 1, out=after)
        np.multiply(after, 2, out=ahead)
        ahead -= inside
        inside, after = after, inside
    return Cut(inside, rows, columns)
