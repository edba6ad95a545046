"""KL clustering of positions by their token distributions (iSeg 2409.03209, category-enhanced cross-attention).

No step waits for a value: on a GPU all rounds are queued at once. Clusters keep their number when others empty.
"""

import torch
from torch import Tensor

EPSILON = 1e-5  # added to both distributions before the logarithms
ZERO = 1e-6  # stands in for exact zeros of the maps


def symmetric_kl(p: Tensor, q: Tensor, dtype: torch.dtype = torch.float64, epsilon: float = EPSILON) -> Tensor:
    """Symmetric Kullback-Leibler distance of every row of `p` to every row of `q`.

    `0.5 * [sum a log(a/b) - sum b log(a/b)]` with a = p + 1e-5, b = q + 1e-5 (or another
    `epsilon`, which the float16 of the published run does not take).

    Args:
        p: (n, L) non-negative.
        q: (m, L) non-negative.
        dtype: float64 (default) computes it as one matrix product: the distances are ~1e-3 of the sums they are
            differences of, so anything less precise cancels. float16 repeats the published run, which cast its
            inputs to half precision and summed the differences directly.

    Returns:
        (n, m) distances in the dtype of `p` (float16 for `dtype=torch.float16`).
    """
    if dtype == torch.float16:
        return _direct_half_kl(p, q)
    return _distances(*_with_logarithms(p.to(dtype), epsilon), *_with_logarithms(q.to(dtype), epsilon)).to(p.dtype)


def _with_logarithms(p: Tensor, epsilon: float = EPSILON) -> tuple[Tensor, Tensor]:
    """[a, log a] (n, 2 L) with a = p + epsilon, and sum a log a (n,)."""
    a = p + epsilon
    log_a = a.log()
    return torch.cat([a, log_a], 1), (a * log_a).sum(1)


def _distances(a: Tensor, own_a: Tensor, b: Tensor, own_b: Tensor) -> Tensor:
    """(n, m) distances out of what `_with_logarithms` gives for (n, L) and (m, L)."""
    crossed = a @ b.roll(b.shape[1] // 2, 1).T  # (n, m): sum a log b + sum b log a
    return 0.5 * (own_a[:, None] + own_b[None, :] - crossed)


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
    exact = x.double()
    empty = torch.zeros(len(prototypes), dtype=torch.bool, device=x.device)
    positions = _with_logarithms(x.to(dtype)) if dtype != torch.float16 else None
    labels = torch.zeros(len(x), dtype=torch.long, device=x.device)
    for _ in range(rounds):
        if positions is None:
            distances = _direct_half_kl(x, prototypes)
        else:
            distances = _distances(*positions, *_with_logarithms(prototypes.to(dtype))).to(x.dtype)
        # min and its index: argmin takes many times as long on the CPU
        labels = distances.masked_fill(empty, torch.inf).min(1).indices
        means, empty = _cluster_means(exact, labels, len(prototypes))
        prototypes = means.to(x.dtype)
    number = (~empty).cumsum(0) - 1  # of each cluster that is left
    return number[labels]


def _cluster_means(x: Tensor, labels: Tensor, clusters: int) -> tuple[Tensor, Tensor]:
    """Mean of the rows of `x` (HW, L) float64 in each of k clusters (k, L), 0 if empty, and which are empty (k,).

    A matrix product: added up one by one, a GPU's sums would differ from run to run.
    """
    members = (labels[None, :] == torch.arange(clusters, device=x.device)[:, None]).double()  # (k, HW)
    count = members.sum(1)
    return (members @ x) / count.clamp_min(1)[:, None], count == 0


def pool(x: Tensor, labels: Tensor, clusters: int | None = None) -> Tensor:
    """Every position takes the mean of its cluster: (HW, L) and (HW,) int64 -> (HW, L).

    clusters: at least the largest label + 1; looked up if not given.
    """
    clusters = int(labels.max()) + 1 if clusters is None else clusters
    return _cluster_means(x.double(), labels, clusters)[0].to(x.dtype)[labels]
