"""Boxes that are tight: the places whose own maps reach the four sides of the box."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from iseg import marked
from iseg.marks import Marks
from iseg.recipe import Recipe
from iseg.results import Attended
from iseg.tight import BEST, PLACES, filled, fitting_map, spread

GRID = 12
SIZE = (48, 72)
RECIPE = Recipe(background=0.5, decision_size=72, iterations=1)


def attention(labels: np.ndarray) -> torch.Tensor:
    """Cells of a label attend to each other."""
    flat = torch.from_numpy(labels.astype(np.int64)).flatten()
    matrix = (flat[:, None] == flat[None]).float() + 0.01
    return matrix / matrix.sum(1, keepdim=True)


def scene() -> np.ndarray:
    """A large object over rows and columns 2..9, in its middle a small one."""
    labels = np.zeros((GRID, GRID))
    labels[2:10, 2:10] = 1
    labels[4:7, 4:7] = 2
    return labels


def test_places_of_the_object_that_the_box_is_drawn_around():
    labels = scene()
    cells = torch.from_numpy(labels > 0).flatten()
    around_the_small = torch.from_numpy(labels == 2).flatten()
    for box, bounds, label in ((cells, (2, 2, 10, 10), 1), (around_the_small, (4.2, 3.9, 7, 7.1), 2)):
        found = fitting_map(attention(labels), box, bounds, 1)
        assert found is not None
        np.testing.assert_array_equal(found.reshape(GRID, GRID).numpy() > 0.5, labels == label)


def test_a_box_that_nothing_fills_says_nothing():
    labels = np.arange(GRID * GRID).reshape(GRID, GRID)  # every cell for itself
    assert fitting_map(attention(labels), torch.from_numpy(scene() > 0).flatten(), (2, 2, 10, 10), 1) is None


@given(st.integers(1, 14), st.integers(1, 14), st.integers(0, 4), st.integers(0, 4), st.integers(1, 120))
def test_places_are_spread_over_the_box(height, width, top, left, count):
    box = np.zeros((20, 20), bool)
    box[top : top + height, left : left + width] = True
    places = spread(box, count)
    assert places == sorted(set(places))
    assert all(box.flat[place] for place in places)
    if height * width <= count:
        assert len(places) == height * width
    if min(height, width) ** 2 > 4 * height * width / count:  # not thin
        assert len(places) <= 4 * count


@given(st.integers(0, 999))
def test_filled_is_the_iou_of_the_two_boxes(seed):
    rng = np.random.default_rng(seed)
    top, left = rng.integers(0, 6, 2)
    height, width = rng.integers(1, 6, 2)
    values = np.zeros((12, 12), np.float32)
    values[top : top + height, left : left + width] = 1
    box = np.zeros((12, 12), bool)
    down, across = rng.integers(0, 6, 2)
    box[down : down + 5, across : across + 4] = True
    both = (values > 0) & box
    expected = both.sum() / ((values > 0) | box).sum()  # both are boxes
    bounds = (across, down, across + 4, down + 5)
    assert filled(torch.from_numpy(values), int(top * 12 + left), bounds) == pytest.approx(expected)
    outside = np.flatnonzero(values.ravel() == 0)[0]
    assert filled(torch.from_numpy(values), int(outside), bounds) == 0


def test_only_the_pieces_own_place_counts():
    values = torch.zeros(8, 8)
    values[1, 1:3] = 1
    values[5:7, 4:8] = 1
    assert filled(values, 5 * 8 + 4, (4, 5, 8, 7)) == 1
    assert filled(values, 5 * 8 + 4, (4, 5, 8, 9)) == 0.5
    assert filled(values, 8 + 1, (4, 5, 8, 7)) == 0


def test_what_lies_over_the_object_is_not_in_its_box():
    labels = scene()
    picture = np.zeros((*SIZE, 3), np.uint8)
    picture[np.kron(labels, np.ones((4, 6))) == 1] = 120
    picture[np.kron(labels, np.ones((4, 6))) == 2] = 250
    of = Attended(None, attention(labels), [], [], SIZE, picture=picture)
    marks = Marks(boxes=[(12, 8, 60, 40)])
    inside = {}
    for way in ("absorb", "tight"):
        score = marked.marks_score(of, marks, RECIPE.changed(box_decision=way), None)
        assert score is not None
        inside[way] = torch.nn.functional.interpolate(score[None, None], (GRID, GRID), mode="area")[0, 0].numpy() > 0.5
    np.testing.assert_array_equal(inside["absorb"], labels > 0)
    np.testing.assert_array_equal(inside["tight"], labels == 1)


def test_a_click_in_the_box_counts_with_the_places_that_fill_it():
    of = Attended(None, attention(scene()), [], [], SIZE, picture=np.zeros((*SIZE, 3), np.uint8))
    clicked = torch.from_numpy(scene() == 2).flatten().float()
    recipe = RECIPE.changed(box_decision="tight")
    alone, with_it = (marked.box_score(of, [(12, 8, 60, 40)], recipe, None, each) for each in (None, clicked))
    middle = (slice(20, 26), slice(28, 38))
    assert (with_it[middle] > alone[middle]).all()


def test_at_most_so_many_places_are_looked_at():
    box = np.ones((64, 64), bool)
    assert BEST <= PLACES / 4 < len(spread(box, PLACES)) <= 1.25 * PLACES
    assert len(spread(box[:1], 10)) == 64  # too thin for steps
