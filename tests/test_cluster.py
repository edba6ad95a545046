"""KL clustering against direct formulas."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from iseg.cluster import grid_anchors, kl_kmeans, pool, symmetric_kl


def distributions(rows: int, columns: int, seed: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).dirichlet(np.full(columns, 0.3), rows))


def direct_kl(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a + 1e-5, b + 1e-5
    return 0.5 * (np.sum(a * np.log(a / b)) - np.sum(b * np.log(a / b)))


@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 20), st.integers(0, 2**16))
@settings(max_examples=30, deadline=None)
def test_distance_is_the_direct_formula(n, m, tokens, seed):
    p, q = distributions(n, tokens, seed), distributions(m, tokens, seed + 1)
    expected = [[direct_kl(a, b) for b in q.numpy()] for a in p.numpy()]
    np.testing.assert_allclose(symmetric_kl(p, q), expected, atol=1e-12)


@given(st.integers(2, 12), st.integers(0, 2**16))
@settings(max_examples=20, deadline=None)
def test_distance_is_symmetric_not_negative_and_zero_on_itself(tokens, seed):
    p = distributions(5, tokens, seed)
    distance = symmetric_kl(p, p)
    assert torch.allclose(distance, distance.T, atol=1e-12)
    assert distance.diagonal().abs().max() < 1e-12
    assert distance.min() > -1e-12


def test_float32_maps_are_compared_in_float64():
    p = (distributions(40, 77, 0) / 1000 + 1 / 4096).float()  # as the maps of a 64-grid: distances far under the sums
    expected = [[direct_kl(a, b) for b in p.double().numpy()] for a in p.double().numpy()]
    np.testing.assert_allclose(symmetric_kl(p, p), expected, rtol=1e-5, atol=1e-12)


def slow_kmeans(x: np.ndarray, grid_size: int, rounds: int, stride: int) -> np.ndarray:
    x = np.where(x == 0, 1e-6, x)
    starts = [row * grid_size + column for row in range(0, grid_size, stride) for column in range(0, grid_size, stride)]
    prototypes = x[starts]
    for _ in range(rounds):
        labels = np.array([np.argmin([direct_kl(position, other) for other in prototypes]) for position in x])
        used = sorted(set(labels))
        labels = np.array([used.index(label) for label in labels])
        prototypes = np.stack([x[labels == k].mean(0) for k in range(len(used))])
    return labels


@pytest.mark.parametrize(("grid_size", "stride", "seed"), [(8, 3, 0), (9, 4, 1), (10, 11, 2), (12, 5, 3)])
def test_kmeans_is_the_slow_one(grid_size, stride, seed):
    x = distributions(grid_size**2, 6, seed)
    x[::7, 2] = 0
    labels = kl_kmeans(x, grid_size, rounds=5, stride=stride)
    assert np.array_equal(labels, slow_kmeans(x.numpy(), grid_size, 5, stride))
    assert torch.equal(labels.unique(), torch.arange(int(labels.max()) + 1))
    assert labels.dtype == torch.int64


def test_empty_clusters_are_dropped():
    x = torch.full((64, 3), 1 / 3).double()
    assert torch.equal(kl_kmeans(x, 8, stride=2), torch.zeros(64, dtype=torch.long))


def test_pool_is_the_mean_of_each_cluster_and_keeps_the_total():
    x, labels = distributions(40, 5, 4), torch.arange(40) % 3
    pooled = pool(x, labels)
    for k in range(3):
        expected = x[labels == k].mean(0)
        assert torch.allclose(pooled[labels == k], expected.expand(int((labels == k).sum()), -1))
    assert torch.allclose(pooled.sum(0), x.sum(0))
    assert torch.allclose(pool(pooled, labels), pooled)


def test_anchors_and_wrong_grid():
    assert grid_anchors(64, 11).tolist()[:7] == [0, 11, 22, 33, 44, 55, 11 * 64]
    with pytest.raises(ValueError, match="63 positions"):
        kl_kmeans(torch.ones(63, 2), 8)
