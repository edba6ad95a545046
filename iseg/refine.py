"""Entropy-reduced self-attention and iterative refinement (iSeg 2409.03209, method steps 3 and 4)."""

import math

import torch
from torch import Tensor

ROWS_AT_ONCE = 256  # 4 MB of a 4096-row matrix: a CPU's cache holds them through all the steps


def reduce_entropy(attention: Tensor, weight: float, clamp_max: float | None = None) -> Tensor:
    """One step down the entropy gradient, then rows that sum to 1 ("Ent-Self").

    Each column (key) is divided by its maximum over the queries; where an entry is not zero it becomes
    `a + weight * log10(e * a)`, clamped to >= 0 (and <= `clamp_max`); each row is divided by its sum. A row that
    the clamp empties keeps its own score in refinement: it becomes the identity row.

    Args:
        attention: (HW, HW) non-negative, rows = queries, columns = keys. It is not changed.
        weight: strength of the entropy step, >= 0; 0 leaves the entropy as it is.
        clamp_max: upper clamp after the step (the interactive mode uses 1), or None.

    Returns:
        (HW, HW) row-stochastic, same dtype as the input.
    """
    peak = attention.amax(0)  # (HW,) per key
    peak = torch.where(peak > 0, peak, torch.ones_like(peak))
    reduced = torch.empty_like(attention)
    size = ROWS_AT_ONCE if attention.device.type == "cpu" else len(attention)
    for rows, out in zip(attention.split(size), reduced.split(size), strict=True):
        torch.div(rows, peak, out=out)
        if weight:
            # log10(e * 0) = -inf times a positive weight is clamped to 0 with all other negative entries
            out.add_(out.log().add_(1).mul_(weight / math.log(10))).clamp_(min=0, max=clamp_max)
        elif clamp_max is not None:
            out.clamp_(max=clamp_max)
    return normalize_rows_(reduced)


def normalize_rows_(matrix: Tensor) -> Tensor:
    """Divide each row of (HW, HW) by its sum, in place; an empty row becomes the identity row."""
    total = matrix.sum(1)
    empty = total <= 0
    matrix.div_(torch.where(empty, torch.ones_like(total), total)[:, None])
    if empty.any():
        rows = empty.nonzero()[:, 0]
        matrix[rows, rows] = 1
    return matrix


def normalize_columns(maps: Tensor) -> Tensor:
    """Subtract each column's minimum over positions, divide by its sum: (HW, K) -> (HW, K).

    A constant column says nothing about any position: it becomes all zero, never NaN.
    """
    shifted = maps - maps.amin(0)
    total = shifted.sum(0)
    return shifted / torch.where(total > 0, total, torch.ones_like(total))


def refine(attention: Tensor, maps: Tensor, iterations: int, trajectory: bool = False) -> Tensor:
    """Iterative refinement `c <- A c`, columns normalised before the first and after every product.

    Args:
        attention: (HW, HW) row-stochastic of `reduce_entropy`, rows = queries.
        maps: (HW, K) class maps or seed columns.
        iterations: number of products, >= 0.
        trajectory: return the maps after 0..iterations products instead of the last only.

    Returns:
        (HW, K), or (iterations + 1, HW, K) with `trajectory`; columns have minimum 0 and sum 1 (or are all zero).
    """
    column = normalize_columns(maps.to(attention.dtype))
    steps = [column]
    for _ in range(iterations):
        column = normalize_columns(attention @ column)
        if trajectory:
            steps.append(column)
    return torch.stack(steps) if trajectory else column
