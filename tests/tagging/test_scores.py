"""The arithmetic of TagCLIP against brute force, with and without the published slips."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from iseg.tagging import scores

GRIDS = st.tuples(st.integers(1, 7), st.integers(1, 9))


def random_maps(seed, *shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def brute_affinity(attention, votes, layers):
    result = torch.zeros(attention.shape[1:])
    for i in range(attention.shape[1]):
        for j in range(attention.shape[2]):
            count = sum(bool(block[i, j] > block.mean()) for block in attention)
            if count >= votes:
                result[i, j] = sum(attention[layer, i, j] for layer in layers) / len(layers)
    return result


def affinity(attention, votes, layers):
    """Of the attention (blocks, N, N), added block by block."""
    adding = scores.Affinity(votes, layers)
    for number, block in enumerate(attention):
        adding.add(number, block)
    return adding.matrix()


@pytest.mark.parametrize("votes", [0, 1, 3, 5])
@pytest.mark.parametrize("layers", [[0], [2, 4], [0, 1, 2, 3, 4]])
def test_affinity_counts_votes(votes, layers):
    attention = random_maps(votes, 5, 6, 6).softmax(-1)
    expected = brute_affinity(attention, votes, layers)
    torch.testing.assert_close(affinity(attention, votes, layers), expected)
    assert (expected == 0).any() == (votes > 0)


def flood(high):
    """8-connected regions of a boolean map as sets of cells."""
    left = {(int(r), int(c)) for r, c in zip(*np.nonzero(high), strict=True)}
    while left:
        region, border = set(), [left.pop()]
        while border:
            row, column = border.pop()
            region.add((row, column))
            near = {(row + dr, column + dc) for dr in (-1, 0, 1) for dc in (-1, 0, 1)} & left
            left -= near
            border += near
        yield region


def brute_boxes(column, published):
    levels = np.floor(column * np.float32(255)).astype(int)
    cut = int(float(column.mean()) * levels.max())
    for region in flood(levels > cut):
        rows, columns = [cell[0] for cell in region], [cell[1] for cell in region]
        bottom, right = max(rows) + 1, max(columns) + 1
        if published:
            bottom, right = min(bottom, column.shape[0] - 1), min(right, column.shape[1] - 1)
        yield min(rows), min(columns), bottom, right


@settings(max_examples=60, deadline=None)
@given(GRIDS, st.integers(0, 10_000), st.booleans())
def test_boxes_of_high_regions(grid, seed, published):
    column = random_maps(seed, *grid).numpy() ** 4
    assert sorted(scores.high_boxes(column, published)) == sorted(brute_boxes(column, published))


def test_published_boxes_lose_the_last_row_and_column():
    column = np.zeros((4, 6), np.float32)
    column[2:, 4:] = 1
    assert scores.high_boxes(column, published=False) == [(2, 4, 4, 6)]
    assert scores.high_boxes(column, published=True) == [(2, 4, 3, 5)]


@settings(max_examples=30, deadline=None)
@given(GRIDS, st.integers(0, 10_000), st.booleans())
def test_dual_mask_is_the_masked_product_of_every_class(grid, seed, published):
    count, classes = grid[0] * grid[1], 3
    weights, patch = random_maps(seed, count, count), random_maps(seed + 1, count, classes)
    found = scores.dual_mask(weights, patch, grid, published)
    spread = weights @ patch
    for index in range(classes):
        extent = spread[:, index].max() - spread[:, index].min()
        column = (spread[:, index] - spread[:, index].min()) / (extent if extent > 0 else 1)
        boxes = scores.high_boxes(column.reshape(grid).numpy(), published)
        inside = torch.zeros(grid)
        for top, left, bottom, right in boxes:
            inside[top:bottom, left:right] = 1
        expected = (weights * inside.flatten()[None]) @ patch[:, index]
        if not published and not inside.any():
            expected = spread[:, index]
        torch.testing.assert_close(found[:, index], expected)
    assert found.isfinite().all()
    assert (found <= spread + 1e-5).all()  # masking can only take sources away


@settings(max_examples=60, deadline=None)
@given(GRIDS, st.integers(0, 10_000), st.booleans())
def test_object_box_is_the_extent_of_all_high_cells(grid, seed, published):
    column = random_maps(seed, grid[0] * grid[1]) ** 3
    found = scores.object_box(column, grid, published)
    spread = column.max() - column.min()
    high = ((column - column.min()) / (spread if spread > 0 else 1) > 0.5).reshape(grid).numpy()
    rows, columns = np.nonzero(high)
    if not len(rows):
        assert found is None
        return
    bottom, right = rows.max() + 1, columns.max() + 1
    if published:
        bottom, right = min(bottom, grid[0] - 1), min(right, grid[1] - 1)
    if bottom <= rows.min() or right <= columns.min():
        assert published
        assert found is None
        return
    assert found is not None
    box, cells = found
    assert box == (rows.min(), columns.min(), bottom, right)
    np.testing.assert_array_equal(cells.numpy(), high[box[0] : box[2], box[1] : box[3]])


def test_candidates_are_measured_against_all_maps():
    maps = torch.tensor([[0.0, 0.2, 0.1], [0.5, 0.1, 1.0]])  # two classes, one background word
    assert scores.candidates(maps, 2, 0.4) == [0]
    assert scores.candidates(maps, 2, 0.1) == [0, 1]
    assert scores.candidates(maps[:, :2], 2, 0.6) == [0]


@pytest.mark.parametrize(
    ("values", "threshold", "chosen"),
    [
        ([0.1, 0.9, 0.8, 0.2], 0.6, [1, 2]),
        ([0.1, 0.9, 0.8, 0.2], 0.99, [1]),
        ([0.3, 0.3], 0.6, [0]),  # nothing above: the highest, the first of equals
        ([0.7], 0.0, [0]),
        ([0.1, 0.9], 1.0, [1]),
    ],
)
def test_select(values, threshold, chosen):
    assert scores.select(values, threshold) == chosen


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=12), st.floats(0, 1))
def test_select_always_holds_the_highest(values, threshold):
    chosen = scores.select(values, threshold)
    assert chosen == sorted(chosen)
    assert values.index(max(values)) in chosen


def test_constant_columns_are_zero_not_nan():
    assert scores.min_max(torch.full((5, 2), 3.0), (0,)).eq(0).all()


def test_probabilities_sum_to_one_and_follow_the_cosine():
    texts = torch.nn.functional.normalize(random_maps(1, 4, 8), dim=-1)
    features = 7 * texts[[2, 0]]
    found = scores.probabilities(features, texts, 50)
    torch.testing.assert_close(found.sum(-1), torch.ones(2))
    assert found.argmax(-1).tolist() == [2, 0]
