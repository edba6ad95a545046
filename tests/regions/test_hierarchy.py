"""From attention to regions: features, labels, scores, the hierarchy, the embedded model."""

from typing import Any, cast

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from iseg.errors import InputError, NotFinite
from iseg.refine import compact, reduce_entropy
from iseg.regions import METHODS, RegionSettings, find_regions, place_features, spread_anchors
from iseg.regions.features import pool_grid

GRID = 8


def attention_of(owner: np.ndarray, leak: float = 0.01) -> torch.Tensor:
    """Self-attention (HW, HW) of a label grid: even within a region, `leak` of that outside."""
    flat = torch.from_numpy(owner.flatten())
    weights = (flat[:, None] == flat).float() + leak
    return weights / weights.sum(1, keepdim=True)


@pytest.fixture
def owner():
    grid = np.zeros((GRID, GRID), np.int64)
    grid[:3, :4], grid[5:, 5:] = 1, 2
    return grid


def find(attention, size=(24, 40), **given):
    chosen = RegionSettings(**given)
    weight = chosen.entropy_weight
    matrix = attention if weight is None else reduce_entropy(attention, weight, 1.0)
    return find_regions(attention, matrix, size, chosen)


@pytest.mark.parametrize("method", METHODS)
def test_clear_regions_are_found(owner, method):
    found = find(attention_of(owner), (GRID, GRID), method=method)
    assert (found.labels == owner).all()  # the largest is 0
    assert found.labels.dtype == np.int32
    assert found.maps.shape == (3, GRID, GRID)
    inside = [(owner == k).sum() / ((owner == k).sum() + 0.01 * GRID**2) for k in range(3)]
    expected = [share + (1 - share) * (owner == k).mean() for k, share in enumerate(inside)]
    np.testing.assert_allclose(found.scores, expected, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("scale", [0.01, 7])
def test_scale_and_a_turned_image_change_nothing_but_the_place(owner, method, scale):
    attention = attention_of(owner)
    found = find(attention, method=method)
    assert (find(scale * attention, method=method).labels == found.labels).all()
    assert (find(attention, method=method).labels == found.labels).all()
    order = torch.arange(GRID**2).reshape(GRID, GRID).flip(1).flatten()
    turned = find(attention[order][:, order], method=method)
    assert (turned.labels == found.labels[:, ::-1]).all()


@pytest.mark.parametrize("method", METHODS)
def test_attention_without_structure_is_one_region(method):
    found = find(torch.full((GRID**2, GRID**2), 1 / GRID**2), method=method)
    assert found.labels.shape == (24, 40)
    assert not found.labels.any()
    np.testing.assert_allclose(found.scores, [1], atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_places_that_are_all_different_stay_apart(method):
    found = find(torch.eye(16), (4, 4), method=method)
    assert len(np.unique(found.labels)) == 16


@pytest.mark.parametrize("method", METHODS)
def test_the_slider_gives_what_a_new_call_would(method):
    random = torch.from_numpy(np.random.default_rng(3).dirichlet(np.full(GRID**2, 0.3), GRID**2)).float()
    counts = []
    for coarse in (0.9, 0.5, 0.3, 0.7):
        moved = find(random, method=method, coarse=0.5).at(coarse)
        fresh = find(random, method=method, coarse=coarse)
        assert (moved.labels == fresh.labels).all()
        assert moved.coarse == coarse
        counts.append((coarse, len(moved.scores)))
    in_order = [count for _, count in sorted(counts)]
    assert in_order == sorted(in_order, reverse=True)
    with pytest.raises(InputError, match=r"coarse is 1.5: expected a number in 0..1"):
        moved.at(1.5)


def test_labels_are_dense_and_ordered_by_size(owner):
    found = find(attention_of(owner), (37, 21), coarse=0.2)
    sizes = [mask.sum() for mask in found.each_mask()]
    assert sizes == sorted(sizes, reverse=True)
    assert min(sizes) > 0
    assert sum(sizes) == 37 * 21
    assert ((found.scores >= 0) & (found.scores <= 1)).all()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**16), st.integers(1, 3))
def test_features_are_roots_of_walks_to_the_anchors(seed, iterations):
    matrix = torch.from_numpy(np.random.default_rng(seed).dirichlet(np.full(9, 0.5), 9)).float()
    anchors = torch.tensor([0, 4, 8])
    columns = np.eye(9)[:, anchors.numpy()]
    for _ in range(iterations):
        columns = matrix.numpy() @ columns
        columns = columns - columns.min(0)
        columns = columns / columns.sum(0)
    total = columns.sum(1, keepdims=True)
    expected = np.sqrt(np.divide(columns, total, out=np.zeros_like(columns), where=total > 0))
    np.testing.assert_allclose(place_features(matrix, anchors, iterations), expected, atol=2e-3)


def test_a_sparse_matrix_gives_the_same():
    attention = attention_of(np.arange(GRID**2).reshape(GRID, GRID) // 4, leak=0)
    reduced = reduce_entropy(attention, 0.3, 1.0)
    sparse = compact(reduced)
    assert sparse.layout == torch.sparse_csr or not torch.backends.mkl.is_available()
    for method in METHODS:
        chosen = RegionSettings(method=cast(Any, method), entropy=0.3)
        dense = find_regions(attention, reduced, (20, 30), chosen)
        assert (find_regions(attention, sparse, (20, 30), chosen).labels == dense.labels).all()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_attention_that_is_not_finite_is_refused(owner, method, value):
    attention = attention_of(owner)
    attention[3, 5] = value
    with pytest.raises(NotFinite, match="not finite"):
        find_regions(attention, attention, (24, 40), RegionSettings(method))


def test_anchors_and_pooling():
    assert spread_anchors(8, 2).tolist() == [18, 22, 50, 54]
    assert spread_anchors(4, 16).tolist() == list(range(16))
    matrix = torch.rand(64, 5, generator=torch.Generator().manual_seed(0))
    blocks = matrix.reshape(4, 2, 4, 2, 5).mean((1, 3)).reshape(16, 5)
    torch.testing.assert_close(pool_grid(matrix, 4), blocks)
    assert pool_grid(matrix, 8) is matrix


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"method": "x"}, "method is 'x': expected one of merge, cut, ours"),
        ({"coarse": -0.1}, "coarse is -0.1"),
        ({"iterations": 0}, "iterations is 0"),
        ({"anchors": 0}, "anchors is 0"),
        ({"entropy": -1.0}, "entropy is -1.0"),
    ],
)
def test_settings_that_cannot_be_used(given, message):
    with pytest.raises(InputError, match=message):
        RegionSettings(**given)


def test_the_model_finds_regions_of_an_image(tiny, scene):
    tiny.set_image(scene)
    found = tiny.regions()
    assert found.labels.shape == scene.shape[:2]
    assert (tiny.regions(coarse=0.4).labels == found.at(0.4).labels).all()
    assert tiny.image.kept == 1  # all of it from the empty prompt's pass
    with pytest.raises(InputError, match=r"regions: unknown key 'tau'"):
        tiny.regions(tau=1)
