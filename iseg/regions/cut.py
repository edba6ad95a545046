"""Recursive normalised cut of a graph (Shi and Malik; as in DiffCut, arXiv 2406.02842), kept as a hierarchy."""

from dataclasses import dataclass

import torch
from torch import Tensor

EQUAL = 1e-9  # similarities closer than this do not differ
POWER = 10  # of the affinity
THRESHOLDS = 100  # tried along the eigenvector
INSIDE = 0.99  # they lie between 0.99 of its lowest and of its highest entry
FINEST = 1 - 1e-6  # a graph without structure has a normalised cut of 1: it is never split


def affinity(features: Tensor, power: int = POWER) -> Tensor:
    """Cosine similarities of n features (n, D) of length 1, min-maxed, to a power: (n, n) float64 in [0, 1].

    The diagonal is 1, for a feature without length too. Where all similarities are equal, all are 1.
    """
    cosine = features.double() @ features.double().T
    low, high = cosine.amin(), cosine.amax()
    flat = high - low < 1e-9
    unit = torch.where(
        flat, torch.ones_like(cosine), (cosine - low) / torch.where(flat, torch.ones_like(low), high - low)
    )
    return unit.clamp(0, 1).pow(power).fill_diagonal_(1)


@dataclass(frozen=True)
class CutTree:
    """Every split of n nodes, each parent before its children.

    Attributes:
        values: (S,) float64, the normalised cut of each split, or its parent's where that is larger: cutting below a
            limit never needs a split that was not made.
        sides: (S, n) int8, 1 and 2 for the two sides of the split set, 0 outside it.
    """

    values: Tensor
    sides: Tensor

    def labels(self, limit: float) -> Tensor:
        """(n,) int64 labels 0..K - 1 after all splits with a normalised cut below `limit` (at most `FINEST`)."""
        labels = torch.zeros(self.sides.shape[1], dtype=torch.long)
        count = 1
        for value, side in zip(self.values.tolist(), self.sides, strict=True):
            if value < limit:
                labels[side == 2] = count
                count += 1
        return labels


def normalized_cut(weights: Tensor) -> tuple[Tensor, float]:
    """The best split of a graph in two by its second eigenvector.

    The eigenvector of D^-1/2 (D - W) D^-1/2 with the second smallest eigenvalue, times D^-1/2, its largest entry made
    positive, is cut at the one of 100 thresholds with the smallest normalised cut, cut/vol(A) + cut/vol(B).

    Args:
        weights: (n, n) float64, symmetric, non-negative, its rows not empty; n >= 2.

    Returns:
        (n,) bool, the upper side, and the normalised cut in [0, 2].
    """
    degree = weights.sum(1)
    root = degree.rsqrt()
    laplacian = torch.eye(len(weights), dtype=weights.dtype) - root[:, None] * weights * root
    vector = torch.linalg.eigh(laplacian).eigenvectors[:, 1] * root
    vector = vector * torch.sign(vector[vector.abs().argmax()])
    low, high = float(vector.amin()), float(vector.amax())
    thresholds = torch.linspace(INSIDE * low, INSIDE * high, THRESHOLDS, dtype=weights.dtype)
    sides = (vector > thresholds[:, None]).to(weights.dtype)  # (T, n)
    volume = sides @ degree
    cut = ((sides @ weights) * (1 - sides)).sum(1)
    values = cut / volume + cut / (degree.sum() - volume)
    values = values.nan_to_num(nan=2.0, posinf=2.0)  # a side without nodes is no split
    best = int(values.argmin())
    return sides[best].bool(), float(values[best])


def cut_tree(weights: Tensor, limit: float = FINEST) -> CutTree:
    """Split a graph (n, n) again and again while the normalised cut is below `limit`; see `normalized_cut`."""
    weights = weights.double().cpu()
    values: list[float] = []
    sides: list[Tensor] = []
    waiting = [(torch.arange(len(weights)), 0.0)]
    while waiting:
        nodes, above = waiting.pop()
        if len(nodes) < 2:
            continue
        upper, value = normalized_cut(weights[nodes][:, nodes])
        value = max(value, above)
        if value >= limit or upper.all() or not upper.any():
            continue
        side = torch.zeros(len(weights), dtype=torch.int8)
        side[nodes[upper]], side[nodes[~upper]] = 1, 2
        values.append(value)
        sides.append(side)
        waiting += [(nodes[upper], value), (nodes[~upper], value)]
    stacked = torch.stack(sides) if sides else torch.zeros(0, len(weights), dtype=torch.int8)
    return CutTree(torch.tensor(values, dtype=torch.float64), stacked)
