"""Seeds: pixels (x, y) to grid cells on non-square images."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from iseg import seeds
from iseg.errors import InputError

sizes = st.tuples(st.integers(1, 300), st.integers(1, 300))


def cells(columns: torch.Tensor, grid: int) -> set[tuple[int, int]]:
    return {divmod(int(i), grid) for i in columns.sum(1).nonzero()[:, 0]}


@given(sizes, st.integers(1, 40), st.data())
@settings(max_examples=60, deadline=None)
def test_point_is_one_hot_at_its_cell(size, grid, data):
    x, y = data.draw(st.integers(0, size[1] - 1)), data.draw(st.integers(0, size[0] - 1))
    column = seeds.points([(x, y)], size, grid)
    assert column.shape == (grid**2, 1)
    assert column.sum() == 1
    assert cells(column, grid) == {(y * grid // size[0], x * grid // size[1])}


@given(sizes, st.integers(2, 30), st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_a_rasterized_line_has_no_gaps(size, grid, fractions):
    points = [(fx * (size[1] - 1), fy * (size[0] - 1)) for fx, fy in fractions]
    columns = seeds.line(seeds.rasterize(points, size, grid), size, grid)
    assert torch.equal(columns.sum(0), torch.ones(columns.shape[1]))
    assert columns.sum(1).max() == 1  # duplicates are merged
    order = [divmod(int(i), grid) for i in columns.argmax(0)]
    for k, (row, column) in enumerate(order[1:], 1):  # every new cell touches an earlier one
        assert any(max(abs(row - r), abs(column - c)) <= 1 for r, c in order[:k])
    assert {seeds.cell(point, size, grid) for point in points} <= set(order)


@given(sizes, st.integers(1, 30), st.data())
@settings(max_examples=60, deadline=None)
def test_box_covers_its_cells_and_never_none(size, grid, data):
    x0, x1 = sorted((data.draw(st.integers(0, size[1] - 1)), data.draw(st.integers(1, size[1]))))
    y0, y1 = sorted((data.draw(st.integers(0, size[0] - 1)), data.draw(st.integers(1, size[0]))))
    if x0 == x1 or y0 == y1:
        with pytest.raises(InputError, match="is empty"):
            seeds.box((x0, y0, x1, y1), size, grid)
        return
    column = seeds.box((x0, y0, x1, y1), size, grid)
    assert torch.equal(column, seeds.box((x1, y1, x0, y0), size, grid))
    top, left = y0 * grid // size[0], x0 * grid // size[1]
    bottom, right = max(y1 * grid // size[0], top + 1), max(x1 * grid // size[1], left + 1)
    assert cells(column, grid) == {(r, c) for r in range(top, bottom) for c in range(left, right)}
    assert set(column.unique().tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: seeds.points([(451, 10)], (300, 451)), r"x must be in 0\.\.450"),
        (lambda: seeds.points([(0, -1)], (300, 451)), "outside the image"),
        (lambda: seeds.points([], (300, 451)), "no point"),
        (lambda: seeds.line([], (300, 451)), "no point"),
        (lambda: seeds.box((0, 0, 500, 10), (300, 451)), r"x must be in 0\.\.451"),
        (lambda: seeds.box((5, 5, 5, 9), (300, 451)), "is empty"),
        (lambda: seeds.rough_mask(np.zeros((300, 451))), "is empty"),
    ],
)
def test_bad_seeds(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_rough_mask_is_the_covered_share():
    mask = np.zeros((40, 80), bool)
    mask[:20, :10] = True
    grid = seeds.rough_mask(mask, 4).reshape(4, 4)
    assert grid[0, 0] == 0.5
    assert grid[1, 0] == 0.5
    assert grid.sum() == 1


def test_merge_weighs_every_column_alike():
    columns = torch.tensor([[1.0, 0.0], [0.0, 10.0], [0.5, 0.0], [0.0, 0.0]])
    assert seeds.merge(columns).flatten().tolist() == [1, 1, 0.5, 0]
    assert seeds.merge(torch.zeros(4, 2)).abs().max() == 0
    stacked = torch.stack([columns, 3 * columns])
    assert torch.equal(seeds.merge(stacked)[0], seeds.merge(stacked)[1])
