"""Iterative merging of attention maps by their Kullback-Leibler distance (DiffSeg, arXiv 2308.12469)."""

import torch
from torch import Tensor

from iseg.cluster import symmetric_kl

EPSILON = 1e-12  # added to probabilities before the logarithm: only zeros notice


def merge_proposals(attention: Tensor, anchors: Tensor, threshold: float, rounds: int = 3) -> Tensor:
    """Anchors -> proposals, one distribution over all places each.

    In the first round each anchor becomes the mean of all places closer than `threshold` (mean of the two directions of
    KL). In the others, in order, each proposal that no earlier one has taken becomes the mean of all closer to it.

    Args:
        attention: (HW, HW), each row a distribution over the places.
        anchors: (n,) int64 places.
        threshold: distance in nats, > 0.
        rounds: in all, >= 1.

    Returns:
        (K, HW) float64, 1 <= K <= n.
    """
    rows = attention.double()
    near = symmetric_kl(rows[anchors], rows, epsilon=EPSILON) < threshold  # (n, HW)
    near[torch.arange(len(anchors)), anchors] = True  # whatever rounding makes of a distance of 0
    proposals = _means(near, rows)
    for _ in range(rounds - 1):
        near = symmetric_kl(proposals, proposals, epsilon=EPSILON) < threshold
        proposals = _means(_leaders(near.fill_diagonal_(True)), proposals)
    return proposals


def _leaders(near: Tensor) -> Tensor:
    """The rows (K, n) of a relation (n, n) whose own member no earlier kept row holds."""
    kept = []
    free = torch.ones(len(near), dtype=torch.bool, device=near.device)
    for index, row in enumerate(near):
        if free[index]:
            kept.append(index)
            free &= ~row
    return near[kept]


def _means(members: Tensor, rows: Tensor) -> Tensor:
    """Mean of the rows (n, D) of each group (K, n) bool: (K, D)."""
    weights = members.to(rows.dtype)
    return weights @ rows / weights.sum(1, keepdim=True)
