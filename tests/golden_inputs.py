"""Seeded numpy formulas of the inputs that the golden files were made from (float64, cast to float32 at the end)."""

import numpy as np
from numpy.typing import NDArray


def blobs(seed: int, n: int, size: int, noise: float = 0.05) -> NDArray[np.float64]:
    """(n, size, size) smooth non-negative maps: two Gaussian bumps each, plus white noise."""
    rng = np.random.default_rng(seed)
    centres = (np.arange(size) + 0.5) / size
    rows, columns = np.meshgrid(centres, centres, indexing="ij")
    total = np.zeros((n, size, size))
    for _ in range(2):
        place = rng.random((n, 2, 1, 1))
        width = 0.08 + 0.20 * rng.random((n, 1, 1))
        height = 0.3 + rng.random((n, 1, 1))
        total += height * np.exp(-((rows - place[:, 0]) ** 2 + (columns - place[:, 1]) ** 2) / (2 * width * width))
    return total + noise * rng.random((n, size, size))


def softmax(x: NDArray, axis: int) -> NDArray:
    exponent = np.exp(x - x.max(axis=axis, keepdims=True))
    return exponent / exponent.sum(axis=axis, keepdims=True)


def kl_pair() -> tuple[NDArray, NDArray]:
    """Golden a: (12, 20) and (30, 20), rows are distributions."""
    first = np.random.default_rng(10).standard_normal((12, 20))
    second = np.random.default_rng(11).standard_normal((30, 20))
    return softmax(4 * first, 1).astype(np.float32), softmax(4 * second, 1).astype(np.float32)


def cluster_input(channels: int = 20, seed: int = 20) -> NDArray:
    """Golden a: (channels, 64, 64), every channel sums to 1 over the image."""
    maps = blobs(seed, channels, 64)
    return (maps / maps.sum((1, 2), keepdims=True)).astype(np.float32)


def cross_maps(seed: int = 30) -> dict[int, NDArray]:
    """Golden b: {16: (100, 77, 16, 16), 32: (30, 77, 32, 32)}, softmax over the 77 tokens."""
    maps = {}
    for size, heads, own_seed in ((16, 100, seed), (32, 30, seed + 1)):
        shared = blobs(seed + 2, 77, size, noise=0.0)[None]
        own = blobs(own_seed, heads * 77, size, noise=0.3).reshape(heads, 77, size, size)
        maps[size] = softmax(5.0 * shared + 2.0 * own, 1).astype(np.float32)
    return maps


def features(seed: int = 40, d: int = 8) -> NDArray[np.float64]:
    """(4096, d) smooth features of the 64x64 positions, roughly unit scale."""
    smooth = blobs(seed, d, 64, noise=0.02).reshape(d, 4096).T
    return (smooth - smooth.mean(0)) / smooth.std(0)


def self_attention(heads: list[int], seed: int = 40, sharp: float = 1.5) -> NDArray:
    """Goldens c, e: (4096 queries, 4096 keys) float32, the mean of the chosen heads (0-based)."""
    total = np.zeros((4096, 4096), np.float32)
    for head in heads:
        feature = features(seed + head)
        scores = (sharp * (1 + 0.2 * head) / np.sqrt(feature.shape[1])) * (feature @ feature.T)
        total += softmax(scores, 1).astype(np.float32) / np.float32(len(heads))
    return total


def cross_attention(seed: int = 50, k: int = 3) -> NDArray:
    """Golden c: (4096, k) positive class maps, columns sum to 1."""
    maps = blobs(seed, k, 64).reshape(k, 4096).T
    return (maps / maps.sum(0)).astype(np.float32)


def cams(seed: int = 60, classes: int = 20, size: int = 64) -> NDArray:
    """Golden d: (classes, size, size) activation maps."""
    return blobs(seed, classes, size, noise=0.2).astype(np.float32)


def label_maps(seed: int = 70, size: int = 128) -> tuple[NDArray, NDArray]:
    """Golden d: target (0..20 and 255) and prediction (0..20), int64."""
    rng = np.random.default_rng(seed)
    target = rng.integers(0, 21, (size // 16, size // 16)).repeat(16, 0).repeat(16, 1)
    prediction = np.where(rng.random((size, size)) < 0.7, target, rng.integers(0, 21, (size, size)))
    target = target.copy()
    target[rng.random((size, size)) < 0.05] = 255
    target[target == 13] = 0
    return target.astype(np.int64), prediction.astype(np.int64)
