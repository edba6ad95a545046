"""Decisions on marks beside refinement: boxes that absorb, Otsu's threshold, pieces, bilateral scores."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from iseg import absorb, cutout, kinds, marked, pieces, seeds, solve
from iseg.errors import InputError, NotFinite
from iseg.marks import Marks
from iseg.recipe import Recipe
from iseg.results import Attended
from iseg.solve import solve_maps
from iseg.upsample import separable_bilateral

SIZE, GRID = (40, 64), 8
NEW = Recipe(upsample="bilateral", click_decision="markov", box_decision="absorb", background=0.5, decision_size=64)


def attended(left=0.375, right=0.625):
    """A picture whose bright middle hangs together, and the ground around it."""
    picture = np.zeros((*SIZE, 3), np.uint8)
    picture[:, int(64 * left) : int(64 * right)] = 200
    columns = (np.arange(GRID) + 0.5) / GRID
    kind = np.tile((columns > left) & (columns < right), GRID)
    matrix = np.where(kind[:, None] == kind[None], 1.0, 0.02).astype(np.float32)
    matrix /= matrix.sum(1, keepdims=True)
    return Attended(None, torch.from_numpy(matrix), [], [], SIZE, picture=picture)


def solved(kind, given_, recipe, negative=(), of=None):
    of = of or attended()
    return solve_maps(of, kinds.first_maps(kind, given_, negative, None, SIZE, GRID), recipe, kind)


@given(st.integers(0, 999), st.integers(2, 40))
def test_outside_share_is_a_sum_over_the_outside(seed, count):
    rng = np.random.default_rng(seed)
    matrix = rng.random((count, count))
    matrix /= matrix.sum(1, keepdims=True)
    outside = rng.random((count, 2)) < 0.5
    ours = absorb.outside_share(torch.from_numpy(matrix), torch.from_numpy(outside)).numpy()
    for cell, box in np.ndindex(count, 2):
        expected = 1 if outside[cell, box] else matrix[cell][outside[:, box]].sum()
        assert ours[cell, box] == pytest.approx(expected)


@given(st.integers(0, 999))
def test_otsu_against_opencv(seed):
    rng = np.random.default_rng(seed)
    values = np.concatenate([rng.normal(60, 12, 200), rng.normal(170, 20, 150)]).clip(0, 255).astype(np.uint8)
    values[:2] = 0, 255
    level, _ = cv2.threshold(values[None], 0, 255, cv2.THRESH_OTSU)
    ours = absorb.otsu(torch.from_numpy(values.astype(np.float64)))
    split = values > level
    between = [
        part.mean() * (1 - part.mean()) * (values[part].mean() - values[~part].mean()) ** 2
        for part in (split, values >= ours)
    ]
    assert between[1] == pytest.approx(between[0], rel=0.01)


def test_otsu_of_equal_values_is_the_value():
    assert absorb.otsu(torch.full((5,), 0.25)) == 0.25


@given(st.integers(0, 999), st.sampled_from([0.45, 0.8, 1.0]), st.sampled_from([0.382, 0.5]))
def test_the_border_lies_at_the_lowered_threshold(seed, lower, border):
    rng = np.random.default_rng(seed)
    values, within = torch.from_numpy(rng.random((5, 8), np.float32)), torch.from_numpy(rng.random((5, 8)) < 0.7)
    scores = absorb.around_threshold(values, within, lower, border)
    threshold = lower * absorb.otsu(values[within]) if within.any() else 2
    for row, column in np.ndindex(5, 8):
        score, value = float(scores[row, column]), float(values[row, column])
        assert 0 <= score <= 1
        assert within[row, column] or score == 0
        if within[row, column] and abs(value - threshold) > 1e-5:
            assert (score >= border) == (value >= threshold)
    order = values[within].argsort()
    assert (scores[within][order].diff() >= -1e-6).all()


def test_a_score_of_equal_values_is_all_or_nothing():
    within = torch.tensor([[True, True, False]])
    for value in (0.0, 0.3):
        scores = absorb.around_threshold(torch.full((1, 3), value), within, 0.8, 0.5)
        assert scores.tolist() == [[float(value > 0), float(value > 0), 0.0]]


@given(st.integers(0, 999), st.integers(2, 20))
def test_unlike_against_loops(seed, count):
    rng = np.random.default_rng(seed)
    matrix, inner, against = rng.random((count, count)), rng.random(count), np.zeros(count, bool)
    against[rng.integers(0, count, 2)] = True
    ours = absorb.unlike(torch.from_numpy(matrix), torch.from_numpy(inner), torch.from_numpy(against)).numpy()
    for cell in range(count):
        own = sum(matrix[cell, k] * inner[k] for k in range(count)) / inner.sum()
        other = np.mean([matrix[cell, k] for k in np.nonzero(against)[0]])
        assert ours[cell] == pytest.approx(inner[cell] * own / (own + other))


def test_a_negative_point_in_a_box_takes_away_what_is_like_it():
    of = attended()
    cells = torch.ones(GRID * GRID, dtype=torch.bool)
    cells[:GRID] = False
    marks = Marks(boxes=[(0, 5, 64, 40)], negative=[(60, 38)])
    with_it = marked.marks_score(of, marks, NEW, None)
    without = marked.marks_score(of, Marks(boxes=marks.boxes), NEW, None)
    assert with_it is not None
    assert without is not None
    right = slice(int(without.shape[1] * 0.8), None)
    assert float(with_it[8:, right].mean()) < float(without[8:, right].mean())


def test_a_click_in_a_box_counts_as_much_as_the_box():
    of = attended(0.25, 0.5)
    clicked = torch.zeros(GRID * GRID)
    clicked.view(GRID, GRID)[:, 2:4] = 1
    score = marked.marks_score(of, Marks(boxes=[(0, 0, 60, 40)], points=[(24, 20)]), NEW, clicked)
    assert score is not None
    found = score[:, : score.shape[1] * 15 // 16] >= 0.5
    columns = (torch.arange(found.shape[1]) + 0.5) / score.shape[1]
    expected = ((columns > 0.25) & (columns < 0.5)).expand_as(found)
    assert (found != expected).float().mean() < 0.05


@pytest.mark.parametrize("marks", [Marks(lines=[[(3, 3)]]), Marks(points=[(3, 3)], lines=[[(3, 3)]])])
def test_lines_are_refined(marks):
    assert marked.marks_score(attended(), marks, NEW, None) is None
    assert marked.marks_score(attended(), Marks(boxes=[(0, 0, 9, 9)]), Recipe(), None) is None


@pytest.mark.parametrize("upsample", ["bilinear", "bilateral"])
def test_a_threshold_of_the_map_itself_is_not_that_of_the_recipe(upsample):
    of = attended()
    recipe = Recipe(upsample=upsample, decision_size=64, iterations=1, background=0.8)
    fixed, fitted = (
        solved("points", [(32, 20)], recipe.changed(mark_threshold=way), of=of) for way in ("fixed", "otsu")
    )
    expected = np.zeros(SIZE, np.uint8)
    expected[:, 24:40] = 1
    assert (fitted.mask != expected).mean() < 0.1
    assert fitted.fine is not None
    assert (fixed.fine is not None) == (upsample == "bilateral")
    assert np.array_equal(np.stack([*fitted.scores])[0] >= np.float32(0.8), fitted.mask > 0)
    column = torch.rand(1, GRID * GRID, 1)
    fixed, fitted = (solve.conclude(column, of, recipe.changed(mark_threshold=way), ["a"]) for way in ("fixed", "otsu"))
    assert np.array_equal(fixed.mask, fitted.mask)  # of words the recipe's own threshold stays


@given(st.integers(0, 999))
def test_negative_points_leave_their_share(seed):
    rng = np.random.default_rng(seed)
    maps, against = rng.random((2, 6, 1)) * (rng.random((2, 6, 1)) < 0.7)
    ours = seeds.shared(torch.from_numpy(maps), torch.from_numpy(against)).numpy()
    for cell in range(6):
        m, n = maps[cell, 0], against[cell, 0]
        assert ours[cell, 0] == pytest.approx(m * m / (m + n) if m + n else 0)


def test_negative_points_by_their_share_leave_more_than_by_subtraction():
    of, recipe = attended(), Recipe(iterations=1)
    columns, negative = seeds.columns(Marks(points=[(32, 20)], negative=[(36, 30)]), SIZE, GRID)
    shared, subtracted = (
        solve.refine_seeds(of, columns, recipe.changed(negative_points=way), negative)[-1]
        for way in ("share", "subtract")
    )
    assert shared.sum() > subtracted.sum()
    assert shared.max() == pytest.approx(1)


def test_a_click_takes_what_hangs_together():
    result = solved("points", [(32, 20)], NEW, [(2, 2)])
    expected = np.zeros(SIZE, np.uint8)
    expected[:, 24:40] = 1
    assert (result.mask != expected).mean() < 0.02
    assert np.array_equal(np.stack([*result.scores])[0] >= 0.5, result.mask > 0)
    assert result.maps.shape == (1, GRID, GRID)


def test_a_box_takes_what_does_not_hang_together_with_its_outside():
    result = solved("box", (8, 0, 56, 40), NEW)
    expected = np.zeros(SIZE, np.uint8)
    expected[:, 24:40] = 1
    assert (result.mask != expected).mean() < 0.06


def test_boxes_of_two_objects_and_the_clip():
    result = solved("boxes", [(8, 0, 30, 40), (34, 0, 56, 40)], NEW.changed(clip_box=True))
    assert set(np.unique(result.mask)) <= {0, 1, 2}
    assert not (result.mask == 1)[:, 30:].any()
    assert not (result.mask == 2)[:, :34].any()
    assert (result.mask == 1).any()


def test_attention_that_is_not_finite_is_refused():
    broken = attended()
    broken.attention[3] = float("nan")
    with pytest.raises(NotFinite):
        solved("points", [(32, 20)], NEW, of=broken)


def test_the_chain_is_made_once_and_counted():
    of = attended()
    before = of.nbytes
    solved("points", [(32, 20)], NEW, of=of)
    chain = of.markov(NEW).chain
    solved("points", [(30, 20)], NEW.changed(decision_size=32), of=of)
    assert of.markov(NEW.changed(decision_size=32)).chain is chain
    assert of.nbytes > before


@given(st.integers(0, 999))
def test_cells_that_a_box_reaches_into(seed):
    rng = np.random.default_rng(seed)
    (xa, xb), (ya, yb) = (rng.choice(most + 1, 2, replace=False).tolist() for most in (64, 40))
    ours = seeds.touched([(xa, ya, xb, yb)], SIZE, GRID).view(GRID, GRID)
    expected = np.zeros((GRID, GRID), bool)
    for x in range(min(xa, xb), max(xa, xb)):
        for y in range(min(ya, yb), max(ya, yb)):
            expected[y // 5, x // 8] = True
    assert np.array_equal(ours.numpy(), expected)


def test_pieces_of_the_recipe():
    labels = np.zeros((6, 9), np.uint8)
    labels[1:3, 1:3], labels[1:5, 5:8] = 1, 1
    for kept, points, column in (("largest", [(1, 1)], 6), ("clicked", [(1, 1)], 1), ("clicked", [(0, 5)], 6)):
        ours = labels.copy()
        marked.clean(ours, [Marks(points=points)], Recipe().changed(pieces=kept))
        assert ours[1, column] == 1
        assert ours.sum() == (12 if column == 6 else 4)
    untouched = labels.copy()
    marked.clean(untouched, [Marks(points=[(1, 1)])], Recipe())
    assert np.array_equal(untouched, labels)


def test_inside_boxes_takes_pixels_by_their_centre():
    inside = pieces.inside_boxes((4, 6), [(4.4, 1, 1.6, 3)])
    expected = [[1 <= y < 3 and 1.6 <= x + 0.5 < 4.4 for x in range(6)] for y in range(4)]
    assert np.array_equal(inside, np.array(expected, np.uint8))


def test_bilateral_without_a_picture_is_an_error_of_the_caller():
    of = attended()
    of.picture = None
    with pytest.raises(ValueError, match="no picture"):
        solved("points", [(32, 20)], Recipe(upsample="bilateral"), of=of)


def test_bilateral_follows_the_picture():
    recipe = NEW.changed(click_decision="refine")
    rough, fine = (solved("points", [(32, 20)], recipe.changed(upsample=way), of=attended(0.3, 0.7))
                   for way in ("bilinear", "bilateral"))  # fmt: skip
    truth = np.zeros(SIZE, bool)
    truth[:, int(64 * 0.3) : int(64 * 0.7)] = True
    assert ((fine.mask > 0) != truth).sum() <= ((rough.mask > 0) != truth).sum()
    assert fine.fine is not None
    assert rough.fine is None


@pytest.mark.parametrize(("key", "value"), [("upsample_cells", 0), ("upsample_range", 0), ("decision_size", 3)])
def test_settings_out_of_bounds(key, value):
    with pytest.raises(InputError, match=key):
        Recipe(**{key: value})


@pytest.mark.parametrize("kind", ["points", "line", "box", "boxes", "markov"])
def test_an_outline_that_is_cut_lies_on_the_pictures_edges(kind):
    of, truth = attended(0.3, 0.7), np.zeros(SIZE, bool)  # edges that lie within cells of the grid
    truth[:, int(64 * 0.3) : int(64 * 0.7)] = True
    given_ = {"points": [(32, 20)], "line": [(26, 10), (38, 30)], "box": (12, 0, 52, 40), "boxes": [(12, 0, 52, 40)]}
    recipe = Recipe(iterations=1, mark_threshold="otsu", box_decision="absorb", outline="cut", background=0.4)
    recipe = recipe.changed(click_decision="markov") if kind == "markov" else recipe
    kind = "points" if kind == "markov" else kind
    found = solved(kind, given_[kind], recipe, of=of)
    assert ((found.mask > 0) == truth).mean() > 0.98
    assert found.fine is not None
    assert found.fine.shape == (1, *SIZE)
    assert np.array_equal(found.scores[0] >= np.float32(0.4), found.mask > 0)


def test_words_are_cut_each_for_itself():
    of, side = attended(), GRID * GRID
    columns = torch.zeros(2, side, 2)
    columns[:, :, 0].view(2, GRID, GRID)[:, :, 3:5], columns[:, :, 1].view(2, GRID, GRID)[:, :, :2] = 1, 1
    found = solve.conclude(columns, of, Recipe(outline="cut"), ["middle", "left"], class_ids=[7, 3])
    assert set(np.unique(found.mask)) <= {0, 3, 7}
    assert (found.mask[:, 25:39] == 7).mean() > 0.95
    assert not (found.mask[:, 41:] > 0).any()
    assert solve.conclude(columns[..., :0], of, Recipe(outline="cut"), []).mask.max() == 0


def test_marks_on_a_smaller_picture():
    marks = Marks([(3, 5.7)], [(0, 0)], [[(9, 9)]], [(0, 4, 8, 2)]).scaled(0.5, 2)
    assert (marks.points, marks.negative, marks.lines) == ([(1.75, 11)], [(0.25, 1)], [[(4.75, 19)]])
    assert marks.boxes == [(0, 8, 4, 4)]


def test_each_kind_of_mark_is_cut_by_its_own_settings(monkeypatch):
    used = []

    def noted(picture, score, marks, settings):
        used.append(settings)
        return score

    monkeypatch.setattr(marked, "cut_score", noted)
    recipe = Recipe(outline="cut", click_decision="markov")
    points, box = [(20, 20)], [(5, 5, 60, 40)]
    given_ = [Marks(), Marks(points=points), Marks(points=points, boxes=box), Marks(boxes=box)]
    marked.outlined(torch.rand(4, 8, 12), attended(), given_, recipe)
    assert used == [cutout.DEFAULTS, cutout.FOR_MARKOV, cutout.FOR_BOX, cutout.FOR_BOX]


def test_a_box_is_decided_at_otsus_threshold():
    of = attended()
    cells = torch.ones(GRID * GRID, dtype=torch.bool)
    cells[::GRID] = False
    score = marked.box_score(of, [(8, 0, 64, 40)], NEW)
    inner = 1 - absorb.outside_share(of.attention.float(), ~cells[:, None])[:, 0]
    fine = separable_bilateral(
        inner.reshape(1, GRID, GRID), of.guide(NEW.decision_size), NEW.upsample_cells, NEW.upsample_range
    )[0]
    within = score > 0
    assert within.any()
    threshold = absorb.otsu(fine[within])
    assert torch.equal(score >= marked.border_of(NEW), (fine >= threshold) & within)
