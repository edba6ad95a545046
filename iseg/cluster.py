"""Clustering of positions by their token distributions (iSeg 2409.03209, category-enhanced cross-attention)."""

import torch
from torch import Tensor

EPSILON = 1e-5  # added to both distributions before the logarithms
ZERO = 1e-6  # stands in for exact zeros of the maps


def symmetric_kl(p: Tensor, q: Tensor, dtype: torch.dtype = torch.float64) -> Tensor:
    """Symmetric Kullback-Leibler distance of every row of `p` to every row of `q`.

    `0.5 * [sum a log(a/b) - sum b log(a/b)]` with a = p + 1e-5, b = q + 1e-5.

    Args:
        p: (n, L) non-negative.
        q: (m, L) non-negative.
        dtype: float64 (default) computes it as matrix products: the distances are ~1e-3 of the sums they are
            differences of, so anything less precise cancels. float16 repeats the published run, which cast its
            inputs to half precision and summed the differences directly.

    Returns:
        (n, m) distances in the dtype of `p` (float16 for `dtype=torch.float16`).
    """
    if dtype == torch.float16:
        return _direct_half_kl(p, q)
    a, b = p.to(dtype) + EPSILON, q.to(dtype) + EPSILON
    log_a, log_b = a.log(), b.log()
    own = (a * log_a).sum(1)[:, None] + (b * log_b).sum(1)[None, :]  # (n, m)
    return (0.5 * (own - a @ log_b.T - log_a @ b.T)).to(p.dtype)


def _direct_half_kl(p: Tensor, q: Tensor) -> Tensor:
    """The published float16 distance, one row of `q` at a time so that (n, m, L) is never held."""
    a, b = p.half() + EPSILON, q.half() + EPSILON
    columns = []
    for row in b:
        ratio = a.log() - row.log()  # (n, L); the quotient itself would pass float16's range
        columns.append(0.5 * ((a * ratio).sum(1) - (row * ratio).sum(1)))
    return torch.stack(columns, 1)


def grid_anchors(grid_size: int, stride: int) -> Tensor:
    """Flat indices (row-major) of every `stride`-th row and column of a square grid: the first prototypes."""
    steps = torch.arange(0, grid_size, stride)
    return (steps[:, None] * grid_size + steps[None, :]).flatten()


def kl_kmeans(
    x: Tensor, grid_size: int, rounds: int = 20, stride: int = 11, dtype: torch.dtype = torch.float64
) -> Tensor:
    """k-means of positions under the symmetric KL distance.

    Prototypes start at every `stride`-th row and column, empty clusters are dropped each round, and a prototype
    becomes the mean of its members.

    Args:
        x: (HW, L) token distribution of each position, HW = grid_size ** 2 in row-major order.
        grid_size: side of the square grid.
        rounds: number of assignments.
        stride: spacing of the first prototypes on the grid (11 on a 64-grid gives 6 x 6).
        dtype: precision of the distance, see `symmetric_kl`.

    Returns:
        (HW,) int64 labels, contiguous from 0.
    """
    if x.shape[0] != grid_size**2:
        raise ValueError(f"x has {x.shape[0]} positions, a grid of side {grid_size} has {grid_size**2}")
    x = x.masked_fill(x == 0, ZERO)
    prototypes = x[grid_anchors(grid_size, stride).to(x.device)]
    labels = torch.zeros(len(x), dtype=torch.long, device=x.device)
    for _ in range(rounds):
        nearest = symmetric_kl(x, prototypes, dtype).min(1).indices  # many times faster than argmin on the CPU
        _, labels = nearest.unique(return_inverse=True)  # drops the empty clusters
        prototypes = _cluster_means(x, labels)
    return labels


def _cluster_means(x: Tensor, labels: Tensor) -> Tensor:
    """(k, L) mean of the rows of `x` (HW, L) in each cluster."""
    count = torch.bincount(labels)
    total = torch.zeros(len(count), x.shape[1], dtype=torch.float64, device=x.device)
    total.index_add_(0, labels, x.double())
    return (total / count[:, None]).to(x.dtype)


def pool(x: Tensor, labels: Tensor) -> Tensor:
    """Every position takes the mean of its cluster: (HW, L) and (HW,) int64 -> (HW, L)."""
    return _cluster_means(x, labels)[labels]
