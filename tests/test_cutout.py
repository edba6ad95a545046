"""Objects cut along the picture: the cut against all masks, colours, windows, and what marks must hold."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from iseg.cutout import DEFAULTS, FOR_MARKOV, cut_score, cut_window
from iseg.markov import Chain, Click, MarkovMaps
from iseg.markov.colours import BINS, SURE, colour_bins, histogram, log_ratio
from iseg.markov.cut import cut, edge_weights
from iseg.marks import Marks
from iseg.pieces import inside_boxes
from iseg.window import Window, shrunk, window_around


def energy(masks, cost, across, down):
    """What `cut` minimizes, of masks (n, H, W)."""
    masks = np.asarray(masks, np.float64)
    borders = (across * np.abs(np.diff(masks, axis=2))).sum((1, 2)) + (down * np.abs(np.diff(masks, axis=1))).sum(
        (1, 2)
    )
    return (cost * masks).sum((1, 2)) + borders


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 9999), st.sampled_from([(3, 4), (2, 5), (4, 3)]))
def test_the_cut_is_the_best_of_all_masks(seed, shape):
    rng = np.random.default_rng(seed)
    cost = rng.normal(0, 1, shape).astype(np.float32)
    across, down = edge_weights(rng.random((*shape, 3)).astype(np.float32), 1.0, 0.1, 0.4)
    ours = cut(cost, across, down, 1500, cut(cost, across, down, 1500)).inside >= 0.5
    every = (np.arange(2**cost.size)[:, None] >> np.arange(cost.size)) & 1
    best = energy(every.reshape(-1, *shape), cost, across, down).min()
    assert energy(ours[None], cost, across, down)[0] <= best + 1e-3


def test_edge_weights_by_loops():
    picture = np.random.default_rng(1).random((3, 4, 3)).astype(np.float32)
    across, down = edge_weights(picture, 2.0, 0.1, 0.3)
    for y, x in np.ndindex(3, 3):
        far = float(((picture[y, x + 1] - picture[y, x]) ** 2).sum())
        assert np.isclose(across[y, x], 2 * np.exp(-far / (2 * 0.3**2)) + 0.1)
    far = float(((picture[2, 1] - picture[1, 1]) ** 2).sum())
    assert np.isclose(down[1, 1], 2 * np.exp(-far / (2 * 0.3**2)) + 0.1)
    assert (across.shape, down.shape) == ((3, 3), (2, 4))


def test_colours_of_either_side():
    picture = np.zeros((4, 6, 3), np.float32)
    picture[:, :3] = (0.9, 0.2, 0.1)
    picture[:, 3:] = (0.1, 0.3, 1.0)
    bins, left = colour_bins(picture), np.arange(6) < 3
    assert np.array_equal(np.unique(bins), np.sort([(28 * BINS + 6) * BINS + 3, (3 * BINS + 9) * BINS + 31]))
    weights = np.broadcast_to(left, (4, 6)).astype(float)
    ratio = log_ratio(bins, weights, 1 - weights, 1e-4)
    assert np.allclose(ratio, np.where(left, SURE, -SURE)[None])
    shares = histogram(bins, weights)
    assert np.isclose(shares.sum(), 1)
    assert np.isclose(shares[bins[0, 0]], 0.5**3)
    assert not histogram(bins, np.zeros((4, 6))).any()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 9999))
def test_a_window_holds_its_piece_and_the_clicks(seed):
    rng = np.random.default_rng(seed)
    size = int(rng.integers(20, 400)), int(rng.integers(20, 400))
    piece = np.zeros(size, np.uint8)
    top, left = rng.integers(size[0]), rng.integers(size[1])
    piece[top : top + 4, left : left + 3] = 1
    click = Click(int(rng.integers(size[1])), int(rng.integers(size[0])))
    window = window_around(piece, [click], DEFAULTS.side, DEFAULTS.margin)
    assert 0 <= window.top < window.bottom <= size[0]
    assert 0 <= window.left < window.right <= size[1]
    assert window.pixel(click) is not None
    assert max(window.height, window.width) <= max(DEFAULTS.side, 8)
    piece[window.part] = 0
    assert not piece.any()


def test_a_window_made_smaller_is_its_mean():
    window = Window(10, 30, 15, 45, 10, 15)  # two pixels of the picture each
    ramp = np.add.outer(3 * np.arange(40), 2 * np.arange(60)).astype(np.float32)
    rows, columns = 10.5 + 2 * np.arange(10), 15.5 + 2 * np.arange(15)
    assert np.allclose(shrunk(ramp, window), np.add.outer(3 * rows, 2 * columns), atol=0.1)
    assert window.pixel(Click(15.5, 29.5)) == (9, 0)
    assert window.pixel(Click(14.9, 20)) is None


@pytest.fixture(scope="module")
def disks():
    """A picture (48, 72, 3) of two disks of one colour each, and Markov maps in which they are alike."""
    y, x = np.mgrid[:48, :72]
    picture = np.full((48, 72, 3), (40, 90, 60), np.uint8)
    first, second = (y - 24) ** 2 + (x - 22) ** 2 <= 15**2, (y - 24) ** 2 + (x - 50) ** 2 <= 14**2
    picture[second], picture[first] = (60, 80, 220), (220, 70, 50)
    either = np.maximum(first, 0.8 * second)[3::6, 3::6].ravel().astype(np.float32)
    attention = torch.from_numpy(np.exp(-3 * np.abs(either[:, None] - either[None])))
    guide = torch.from_numpy(picture.astype(np.float32) / 255).permute(2, 0, 1)
    return picture, first, second, MarkovMaps(Chain(attention), guide, (8, 12))


def agreement(mask, region) -> float:
    return float((mask & region).sum() / (mask | region).sum())


def cut_clicks(case, clicks):
    picture, _, _, maps = case
    score = maps.decide(clicks)[1]
    inside, outside = ([(each.x, each.y) for each in clicks if each.inside is sign] for sign in (True, False))
    return cut_score(picture, score, Marks(inside, outside), FOR_MARKOV)


def test_a_negative_click_takes_its_colour_away(disks):
    first = disks[1]
    assert agreement(cut_clicks(disks, [Click(22, 24)]) >= 0.5, first) > 0.5
    clicks = [Click(22, 24), Click(52, 24, False)]
    assert agreement(cut_clicks(disks, clicks) >= 0.5, first) > 0.95
    assert np.array_equal(cut_clicks(disks, clicks), cut_clicks(disks, clicks))


def test_negative_clicks_alone_give_nothing(disks):
    assert (cut_clicks(disks, [Click(3, 3, False)]) < 0.5).all()


def test_the_border_of_a_rough_score_comes_to_lie_on_the_picture(disks):
    picture, first, second, _ = disks
    y, x = np.mgrid[:8, :12]
    rough = np.clip(1.1 - np.hypot(y - 3.5, x - 3.2) / 4.5, 0, 1).astype(np.float32)  # around the first disk
    fine = cut_score(picture, rough, Marks())
    assert fine.shape == picture.shape[:2]
    assert agreement(fine >= 0.5, first) > 0.97
    assert (fine.min(), fine.max()) >= (0, 0.5)
    assert fine.max() <= 1
    both = np.clip(rough + rough[:, ::-1], 0, 1)
    assert agreement(cut_score(picture, both, Marks()) >= 0.5, first | second) > 0.9
    boxed = Marks(boxes=[(38, 0, 5, 48)])  # corners in any order
    assert agreement(cut_score(picture, both, boxed) >= 0.5, first) > 0.9


@given(st.integers(0, 9999))
@settings(max_examples=25, deadline=None)
def test_what_is_marked_holds(seed):
    """Nothing outside of a box, clicked pixels inside; scores in [0, 1]; of any size and any picture."""
    rng = np.random.default_rng(seed)
    size = int(rng.integers(9, 300)), int(rng.integers(9, 60))
    one_colour = rng.random() < 0.3
    picture = np.full((*size, 3), 90, np.uint8) if one_colour else rng.integers(0, 256, (*size, 3), np.uint8)
    score = rng.random((int(rng.integers(2, 40)), int(rng.integers(2, 40))), np.float32)
    if rng.random() < 0.4:
        score[:] = rng.choice([0, 0.49, 1])
    (xa, xb), (ya, yb) = (np.sort(rng.choice(most + 1, 2, replace=False)).tolist() for most in size[::-1])
    boxes = [(xa, ya, xb, yb)] if rng.random() < 0.6 else []
    inner = inside_boxes(size, boxes) if boxes else np.ones(size, np.uint8)
    rows, columns = np.nonzero(inner)
    k = int(rng.integers(len(rows)))
    fine = cut_score(picture, score, Marks(points=[(columns[k] + 0.5, rows[k] + 0.5)], boxes=boxes))
    assert fine[rows[k], columns[k]] >= 0.5
    for marks in (Marks(boxes=boxes), Marks(negative=[(columns[k] + 0.5, rows[k] + 0.5)], boxes=boxes)):
        found = cut_score(picture, score, marks)
        assert 0 <= found.min() <= found.max() <= 1
        assert (found[inner == 0] < 0.5).all()
        assert not marks.negative or found[rows[k], columns[k]] < 0.5
        if not (score >= 0.5).any():
            assert (found < 0.5).all()
    assert (fine[inner == 0] < 0.5).all()


def test_one_object_on_one_colour_keeps_its_place():
    picture, score = np.full((60, 40, 3), 128, np.uint8), np.zeros((30, 20), np.float32)
    score[8:20, 5:15] = 1
    expected = np.repeat(np.repeat(score, 2, 0), 2, 1) > 0
    assert agreement(cut_score(picture, score, Marks()) >= 0.5, expected) > 0.9


@given(st.integers(0, 9999))
@settings(max_examples=15, deadline=None)
def test_clicks_hold_in_the_window(seed):
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(8, 30)), int(rng.integers(8, 30)))
    colours, score = rng.random((*shape, 3)).astype(np.float32), rng.random(shape).astype(np.float32)
    pixels = rng.permutation(shape[0] * shape[1])[:4]
    clicks = [(*divmod(int(each), shape[1]), bool(k % 2 == 0)) for k, each in enumerate(pixels)]
    inner = cut_window(colours, score, score >= 0.5, clicks)
    assert inner.shape == shape
    for row, column, inside in clicks:
        assert (inner[row, column] >= 0.5) == inside
