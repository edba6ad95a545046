"""A binary cut with smooth, edge-following borders: the continuous form of a graph cut, solved whole.

Minimizes over u (H, W) in [0, 1] the sum of `cost * u` and of `weight * |u - u'|` over 4-neighbours, which has a
solution of zeros and ones (Chambolle and Pock's primal-dual steps, JMIV 2011).
"""

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


def cut(cost: Map, across: Map, down: Map, rounds: int) -> Map:
    """The cut after so many rounds (H, W) in [0, 1]; its mask is what is at least 0.5.

    Args:
        cost: (H, W) of being inside; negative where inside is cheaper.
        across, down: see `edge_weights`.
    """
    height, width = cost.shape
    inside = (cost < 0).astype(np.float32)
    ahead = inside.copy()
    flow_across, flow_down = np.zeros((height, width - 1), np.float32), np.zeros((height - 1, width), np.float32)
    step = np.float32(STEP)
    for _ in range(rounds):
        flow_across += step * (ahead[:, 1:] - ahead[:, :-1])
        flow_down += step * (ahead[1:] - ahead[:-1])
        np.clip(flow_across, -across, across, out=flow_across)
        np.clip(flow_down, -down, down, out=flow_down)
        push = -cost
        push[:, :-1] += flow_across
        push[:, 1:] -= flow_across
        push[:-1] += flow_down
        push[1:] -= flow_down
        before = inside
        inside = np.clip(before + step * push, 0, 1)
        ahead = 2 * inside - before
    return inside
