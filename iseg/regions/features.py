"""Anchors, and what describes a place of the grid: where its attention goes."""

import torch
import torch.nn.functional as F
from torch import Tensor

from iseg import refine


def spread_anchors(grid_size: int, per_side: int) -> Tensor:
    """Flat indices (row-major) of per_side x per_side places, each in the middle of one of as many equal blocks.

    A grid with fewer places a side than `per_side` gives all of its own.
    """
    count = min(per_side, grid_size)
    steps = ((torch.arange(count) + 0.5) * grid_size / count).long()
    return (steps[:, None] * grid_size + steps).flatten()


def place_features(matrix: Tensor, anchors: Tensor, iterations: int) -> Tensor:
    """Where the refined anchors (one-hot columns) are strong: a unit vector for every place.

    The n columns are refined together (`iseg.refine.refine`); a place's n values, divided by their sum, are a
    distribution over the anchors, and its square root is the feature. The dot product of two features is the
    Bhattacharyya coefficient of the distributions, in [0, 1].

    Args:
        matrix: (HW, HW) row-stochastic, rows = queries, dense or `refine.compact`.
        anchors: (n,) int64 places.
        iterations: products with the matrix, >= 0.

    Returns:
        (HW, n) float32; a place that no anchor reaches is all zero.
    """
    if iterations and matrix.layout == torch.strided:  # the first product with one-hot columns picks the anchors'
        return unit_roots(refine.refine(matrix, matrix[:, anchors], iterations - 1))
    columns = torch.zeros(matrix.shape[0], len(anchors), device=matrix.device)
    columns[anchors, torch.arange(len(anchors), device=matrix.device)] = 1
    return unit_roots(refine.refine(matrix, columns, iterations))


def unit_roots(rows: Tensor) -> Tensor:
    """Non-negative rows (n, D) -> the square roots of their shares: (n, D) float32 of length 1; zero rows stay zero."""
    return F.normalize(rows.float().sqrt(), dim=1)


def pool_grid(matrix: Tensor, side: int) -> Tensor:
    """Rows of a finer grid averaged to side x side places: (HW, D) -> (side^2, D). A grid that is not finer stays."""
    grid = round(matrix.shape[0] ** 0.5)
    if grid <= side:
        return matrix
    rows = matrix.T.reshape(1, -1, grid, grid)
    return F.adaptive_avg_pool2d(rows, side)[0].flatten(1).T.contiguous()
