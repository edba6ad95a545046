"""Boxes by what hangs together with their outside, and a threshold from the values alone."""

import torch
from torch import Tensor

BINS = 256
TINY = 1e-12
# of Otsu's threshold, which lies high where little of what is looked at is the object
LOWER = 0.45  # of refined maps
LOWER_CLICKED = 0.8  # of a box with clicks in it


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


def unlike(matrix: Tensor, inner: Tensor, against: Tensor) -> Tensor:
    """Values of cells in a box, each times the share of what draws it to the others in the box, not `against` it.

    Args:
        matrix: (HW, HW) row-stochastic, rows = queries.
        inner: (HW,) in [0, 1], how much each cell belongs inside.
        against: (HW,) bool, cells that do not belong to the object; at least one.

    Returns:
        (HW,): inner * a / (a + b), a the mean attention to the inner cells (by how much they are), b that to `against`.
    """
    weights = torch.stack([inner, against.to(inner)], 1)
    own, other = (matrix @ (weights / weights.sum(0).clamp_min(TINY))).unbind(1)
    return inner * own / (own + other).clamp_min(TINY)


def around_threshold(values: Tensor, within: Tensor, lower: float, border: float) -> Tensor:
    """Values (h, w) >= 0 -> scores in [0, 1], `border` at `lower` times Otsu's threshold of those within; 0 elsewhere.

    Args:
        within: (h, w) bool. Where all values within are equal, all of it has the score 1 (0 if they are 0).
        lower: 1 for Otsu's threshold itself, less for a lower one.
        border: 0 < border < 1.
    """
    if not bool(within.any()):
        return torch.zeros_like(values)
    inside = values[within]
    threshold, peak = lower * otsu(inside), float(inside.amax())
    if not peak > float(inside.amin()) or not 0 < threshold < peak:
        return (within & (values > 0)).to(values)
    above = border + (1 - border) * (values - threshold) / (peak - threshold)
    below = border * values / threshold
    return torch.where(values >= threshold, above, below).clamp_(0, 1) * within


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
