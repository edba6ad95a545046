"""Boxes by what hangs together with their outside, and a threshold from the values alone."""

import torch
from torch import Tensor

BINS = 256


def outside_share(matrix: Tensor, outside: Tensor) -> Tensor:
    """How much each cell belongs outside: one product with cells outside fixed at 1.

    Args:
        matrix: (HW, HW) row-stochastic, rows = queries.
        outside: (HW, K) bool, the cells outside of each of K boxes.

    Returns:
        (HW, K) in [0, 1]; 1 outside.
    """
    fixed = outside.to(matrix)
    return torch.where(outside, 1.0, (fixed.T @ matrix.T).T).clamp_(0, 1)


def otsu(values: Tensor) -> float:
    """Otsu's threshold of values (n,): the one that splits them into the two classes furthest apart.

    Of equally good thresholds between the same values the middle one; the value itself where all are equal.
    """
    low, high = values.amin(), values.amax()
    if not high > low:
        return float(low)
    counts = torch.histc(values.double(), BINS, float(low), float(high))
    centres = low + (torch.arange(BINS, device=values.device) + 0.5) * (high - low) / BINS
    below, total = counts.cumsum(0)[:-1], counts.sum()
    sums = (counts * centres).cumsum(0)
    above = total - below
    means = sums[:-1] / below.clamp_min(1), (sums[-1] - sums[:-1]) / above.clamp_min(1)
    between = below * above * (means[0] - means[1]) ** 2
    best = torch.nonzero(between >= between.amax() * (1 - 1e-9)).flatten()
    edge = 1 + (best[0] + best[-1]).double() / 2
    return float(low + edge * (high - low) / BINS)
