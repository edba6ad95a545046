"""Entropy-reduced self-attention and iterative refinement (iSeg 2409.03209, method steps 3 and 4)."""

import math
import warnings

import torch
import torch.nn.functional as F
from torch import Tensor

ROWS_AT_ONCE = 256  # 4 MB of a 4096-row matrix: a CPU's cache holds them through all the steps
SPARSE_BELOW = 0.1  # share of entries that are not zero: with fewer, 20 products repay the time to gather them
SAMPLED = 16  # one row of so many is looked at


def reduce_entropy(
    attention: Tensor,
    weight: float,
    clamp_max: float | None = None,
    normalize_rows: bool = False,
    out: Tensor | None = None,
) -> Tensor:
    """One step down the entropy gradient, then rows that sum to 1 ("Ent-Self").

    Each column (key) is divided by its maximum over the queries; where an entry is not zero it becomes
    `a + weight * log10(e * a)`, clamped to >= 0 (and <= `clamp_max`); each row is divided by its sum. A row that
    the clamp empties keeps its own score in refinement: it becomes the identity row.

    Args:
        attention: (HW, HW) non-negative, rows = queries, columns = keys. It is not changed.
        weight: strength of the entropy step, >= 0; 0 leaves the entropy as it is.
        clamp_max: upper clamp after the step (the interactive mode uses 1), or None.
        normalize_rows: divide each row by its sum before all else, too (the interactive mode does).
        out: a matrix like `attention` whose memory the result takes; its values are lost.

    Returns:
        (HW, HW) row-stochastic, same dtype as the input.
    """
    reduced = torch.empty_like(attention) if out is None else out
    size = ROWS_AT_ONCE if attention.device.type == "cpu" else len(attention)
    parts = list(zip(reduced.split(size), reduced.diagonal().split(size), strict=True))
    if normalize_rows:
        for rows, (part, diagonal) in zip(attention.split(size), parts, strict=True):
            normalize_rows_(part.copy_(rows), diagonal)
        attention = reduced
    peak = attention.amax(0)  # (HW,) per key
    peak = torch.where(peak > 0, peak, torch.ones_like(peak))
    for rows, (part, diagonal) in zip(attention.split(size), parts, strict=True):
        torch.div(rows, peak, out=part)
        if weight:
            # log10(e * 0) = -inf times a positive weight is clamped to 0 with all other negative entries
            part.add_(part.log().add_(1).mul_(weight / math.log(10))).clamp_(min=0, max=clamp_max)
        elif clamp_max is not None:
            part.clamp_(max=clamp_max)
        normalize_rows_(part, diagonal)
    return reduced


def normalize_rows_(rows: Tensor, diagonal: Tensor) -> Tensor:
    """Divide each of some rows (n, HW) of a square matrix by its sum, in place.

    A row that is empty becomes the identity row, by its entry on the matrix's `diagonal` (n,), a view of `rows`. No
    value is waited for: a GPU goes on.
    """
    total = rows.sum(1)
    empty = total <= 0
    rows.div_(torch.where(empty, torch.ones_like(total), total).unsqueeze(1))
    diagonal.add_(empty)
    return rows


def compact(matrix: Tensor) -> Tensor:
    """The matrix (HW, HW) with its zeros left out (sparse CSR), where products gain by it; else the matrix itself.

    They gain on a CPU whose library multiplies sparse matrices, if the clamp has left no more than a tenth of the
    entries (of every 16th row). Values are the same.
    """
    if matrix.device.type != "cpu" or not torch.backends.mkl.is_available():
        return matrix
    sample = matrix[::SAMPLED]  # counting every entry takes as long as several products
    if torch.count_nonzero(sample) > SPARSE_BELOW * sample.numel():
        return matrix
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
        return matrix.to_sparse_csr()


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
        attention: (HW, HW) row-stochastic of `reduce_entropy`, rows = queries; or `compact` of it.
        maps: (HW, K) class maps or seed columns.
        iterations: number of products, >= 0.
        trajectory: return the maps after 0..iterations products instead of the last only.

    Returns:
        (HW, K), or (iterations + 1, HW, K) with `trajectory`; columns have minimum 0 and sum 1 (or are all zero).
    """
    column = normalize_columns(maps.to(attention.device, attention.dtype))
    steps = [column]
    for _ in range(iterations):
        column = normalize_columns(_product(attention, column))
        if trajectory:
            steps.append(column)
    return torch.stack(steps) if trajectory else column


def _product(attention: Tensor, column: Tensor) -> Tensor:
    """A c, (HW, HW) and (HW, K) -> (HW, K)."""
    if attention.layout == torch.sparse_csr:
        return attention @ column
    # as (c^T A^T)^T: for the few columns there are, CPU libraries are up to four times as fast this way
    return F.linear(column.T, attention).T
