"""Clicks cut along the picture: the cut against all masks, colours, windows, and what clicks must hold."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from iseg.cutout import DEFAULTS, Window, _sampled, cut_clicks, cut_window, window_around
from iseg.markov import Chain, Click, MarkovMaps
from iseg.markov.colours import BINS, SURE, colour_bins, histogram, log_ratio
from iseg.markov.cut import cut, edge_weights


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
    ours = cut(cost, across, down, 1000) >= 0.5
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
    assert np.array_equal(np.unique(bins), np.sort([(14 * BINS + 3) * BINS + 1, (1 * BINS + 4) * BINS + 15]))
    weights = np.broadcast_to(left, (4, 6)).astype(float)
    ratio = log_ratio(bins, weights, 1 - weights)
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
    piece = np.zeros((int(rng.integers(5, 40)), int(rng.integers(5, 40))), np.uint8)
    top, left = rng.integers(piece.shape[0]), rng.integers(piece.shape[1])
    piece[top : top + 4, left : left + 3] = 1
    click = Click(int(rng.integers(size[1])), int(rng.integers(size[0])))
    window = window_around(piece, size, [click])
    assert 0 <= window.top < window.bottom <= size[0]
    assert 0 <= window.left < window.right <= size[1]
    assert window.pixel(click) is not None
    assert max(window.height, window.width) <= max(DEFAULTS.side, 8)
    rows, columns = (np.arange(whole) * part // whole for whole, part in zip(size, piece.shape, strict=True))
    outside = piece[rows][:, columns] > 0
    outside[window.top : window.bottom, window.left : window.right] = False
    assert not outside.any()


def test_maps_are_sampled_at_the_windows_pixels():
    size, window = (40, 60), Window(10, 30, 15, 45, 10, 15)  # two pixels of the picture each
    ramp = np.add.outer(3 * np.arange(40), 2 * np.arange(60)).astype(np.float32)
    rows, columns = 10.5 + 2 * np.arange(10), 15.5 + 2 * np.arange(15)
    assert np.allclose(_sampled(ramp, size, window), np.add.outer(3 * rows, 2 * columns), atol=0.1)


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


def test_a_negative_click_takes_its_colour_away(disks):
    picture, first, _, maps = disks
    both = cut_clicks(maps, picture, [Click(22, 24)])
    assert agreement(both, first) > 0.5
    clicks = [Click(22, 24), Click(52, 24, False)]
    assert agreement(cut_clicks(maps, picture, clicks), first) > 0.95
    assert np.array_equal(cut_clicks(maps, picture, clicks), cut_clicks(maps, picture, clicks))


def test_negative_clicks_alone_give_nothing(disks):
    picture, _, _, maps = disks
    assert not cut_clicks(maps, picture, [Click(3, 3, False)]).any()


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
