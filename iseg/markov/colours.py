"""What colours tell about inside and outside: two histograms of what is held to be either, and their ratio."""

import numpy as np
from numpy.typing import NDArray

BINS = 32  # of each channel
SURE = 4.0  # largest log ratio


def colour_bins(picture: NDArray[np.float32]) -> NDArray[np.int64]:
    """The bin (H, W) in 0..BINS^3 - 1 of each pixel's colour; picture (H, W, 3) in [0, 1]."""
    levels = np.minimum((picture * BINS).astype(np.int64), BINS - 1)
    return (levels[..., 0] * BINS + levels[..., 1]) * BINS + levels[..., 2]


def histogram(bins: NDArray[np.int64], weights: NDArray) -> NDArray[np.float64]:
    """The smoothed share (BINS^3,) of each bin, by weights (H, W) >= 0; zeros where all of these are.

    Each channel is smoothed by (1, 2, 1) / 4: colours of neighbouring bins count, too.
    """
    flat = np.bincount(bins.ravel(), np.asarray(weights, np.float64).ravel(), BINS**3)
    counts: NDArray[np.float64] = np.asarray(flat.reshape(BINS, BINS, BINS), np.float64)
    for _ in range(3):  # each time the next channel comes first
        padded = np.pad(counts, ((1, 1), (0, 0), (0, 0)), mode="edge")
        counts = ((padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4).transpose(1, 2, 0)
    total = float(counts.sum())
    return (counts / total if total > 0 else counts).ravel()


def log_ratio(bins: NDArray[np.int64], inside: NDArray, outside: NDArray, rare: float) -> NDArray[np.float32]:
    """How much likelier each pixel's colour is inside than outside: (H, W) in -SURE..SURE, natural logarithm.

    Args:
        bins: of `colour_bins`.
        inside, outside: (H, W) weights of the pixels that the two histograms are made of.
        rare: share of a bin below which nothing is told.
    """
    ratio = np.log((histogram(bins, inside) + rare) / (histogram(bins, outside) + rare))
    return np.clip(ratio, -SURE, SURE)[bins].astype(np.float32)
