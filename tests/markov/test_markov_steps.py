"""The steps from clicks to masks against loops that say the same, and their odd cases."""

import heapq

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from iseg.markov import Chain, Click, MarkovMaps, balance, count_steps, flood, fuse, margins, sharpen
from iseg.markov.radius import borders
from iseg.upsample import joint_bilateral, small_picture

grids = st.tuples(st.integers(2, 7), st.integers(2, 7), st.integers(0, 999), st.sampled_from([3, 1000]))


def some_map(spec):
    rows, columns, seed, levels = spec
    return np.floor(np.random.default_rng(seed).random((rows, columns)) * levels) / levels


def neighbours(shape, row, column):
    for y, x in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
        if 0 <= y < shape[0] and 0 <= x < shape[1]:
            yield y, x


@given(grids)
def test_flood_is_the_best_path(spec):
    values = some_map(spec)
    start = (spec[2] % spec[0], spec[2] % spec[1])
    own = np.abs(values - values[start])
    level, queue = np.full_like(own, np.inf), [(0.0, start)]
    while queue:
        height, pixel = heapq.heappop(queue)
        if level[pixel] <= height:
            continue
        level[pixel] = height
        for each in neighbours(own.shape, *pixel):
            heapq.heappush(queue, (max(height, own[each]), each))
    assert np.array_equal(flood(values, *start), level)


@given(grids)
def test_borders_of_every_region(spec):
    distance = some_map(spec)
    edge = np.random.default_rng(spec[2] + 1).integers(0, 1025, distance.shape)
    found = borders(distance, edge)
    region = np.zeros(distance.shape, bool)
    for k, pixel in enumerate(found.order):
        region[np.unravel_index(pixel, region.shape)] = True
        outer = [p for p in np.ndindex(region.shape) if not region[p] and any(region[n] for n in
                 neighbours(region.shape, *p))]  # fmt: skip
        assert found.length[k] == len(outer)
        assert found.total[k] == sum(edge[p] for p in outer)


@given(st.integers(0, 999), st.integers(2, 9))
def test_balanced_rows_and_columns_sum_to_one(seed, count):
    matrix = torch.from_numpy(np.random.default_rng(seed).random((count, count)) + 0.05)
    balanced = balance(matrix)
    assert torch.allclose(balanced.sum(0), torch.ones(count, dtype=torch.float64), atol=1e-5)
    assert torch.allclose(balanced.sum(1), torch.ones(count, dtype=torch.float64), atol=1e-5)


def test_empty_rows_and_columns_stay_finite():
    matrix = torch.rand(5, 5, generator=torch.Generator().manual_seed(1))
    matrix[:, 2] = 0
    matrix[3] = 0
    sharp = sharpen(matrix)
    assert torch.isfinite(sharp).all()
    assert torch.isfinite(balance(sharp)).all()
    assert torch.equal(balance(sharp)[:, 2], torch.zeros(5))


@pytest.mark.parametrize("seed", range(4))
def test_a_power_of_the_matrix_counts_the_same(seed):
    generator = torch.Generator().manual_seed(seed)
    features = torch.rand(40, 3, generator=generator, dtype=torch.float64)
    matrix = balance(torch.softmax(-30 * torch.cdist(features, features), 1))
    start = torch.zeros(3, 40, dtype=torch.float64)
    start[range(3), range(3)] = 1
    plain = count_steps(matrix, start)
    fast = count_steps(matrix, start, power=torch.linalg.matrix_power(matrix, 4), power_of=4)
    assert plain.max() > 6
    assert torch.allclose(plain, fast, atol=1e-6)


def test_fuse_takes_the_nearest_click():
    rng = np.random.default_rng(3)
    distances, radii = [rng.random((5, 8)) for _ in range(3)], np.array([0.4, 0.5, 0.6])
    signs, pixels = [True, False, True], [(0, 0), (2, 3), (4, 7)]
    mask, score = fuse(distances, radii, signs, pixels), margins(distances, radii, signs)
    for row, column in np.ndindex(5, 8):
        units = [d[row, column] / r for d, r in zip(distances, radii, strict=True)]
        expected = signs[int(np.argmin(units))] and min(units) <= 1
        assert (score[row, column] >= 0.5) == expected
        if (row, column) in pixels:
            expected = signs[pixels.index((row, column))]
        assert mask[row, column] == expected
    assert not margins(distances[:1], radii[:1], [False]).any()


@pytest.mark.parametrize(("cells", "stride"), [(1.0, 1), (0.7, 2)])
def test_joint_bilateral_against_loops(cells, stride):
    rng = np.random.default_rng(5)
    small, guide = torch.from_numpy(rng.random((2, 3, 4))), torch.from_numpy(rng.random((3, 11, 9)))
    ours = joint_bilateral(small, guide, cells, 0.3, stride)
    large = torch.nn.functional.interpolate(small[None].float(), (11, 9), mode="bilinear", align_corners=False)[0]
    for y, x in np.ndindex(11, 9):
        total, weight = torch.zeros(2), 0.0
        for v, u in np.ndindex(11, 9):
            q = ((v - y) * 3 / (11 * cells)) ** 2 + ((u - x) * 4 / (9 * cells)) ** 2
            if q > 9 or (v - y) % stride or (u - x) % stride:
                continue
            colour = float(((guide[:, y, x] - guide[:, v, u]) ** 2).sum())
            share = np.exp(-q / 2 - colour / (2 * 0.3**2))
            total, weight = total + share * large[:, v, u], weight + share
        assert torch.allclose(ours[:, y, x], (total / weight).float(), atol=1e-5)


def test_small_picture_keeps_its_shape():
    assert small_picture(torch.rand(3, 100, 40), 50).shape == (3, 50, 20)
    picture = torch.rand(3, 30, 40)
    assert small_picture(picture, 50) is picture
    assert small_picture(picture, None) is picture


def test_a_click_is_computed_once(monkeypatch):
    chain = Chain(torch.rand(24, 24, generator=torch.Generator().manual_seed(2)))
    maps = MarkovMaps(chain, torch.rand(3, 12, 18), (4, 6))
    first, size = maps.distance(Click(3, 4)), maps.nbytes
    monkeypatch.setattr(maps, "counts", None)
    assert maps.distance(Click(3, 4, False)) is first
    assert maps.nbytes == size
    assert maps.decide([Click(3, 4)])[0].shape == (12, 18)
