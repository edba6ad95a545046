"""The simulated user against the goldens and against loops."""

import m2n2_inputs as inputs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iseg.noc.play import play
from iseg.noc.protocol import LIMIT, Truth, clicks_needed, continued, failed, next_click, next_click_m2n2, overlap


@pytest.fixture(scope="module")
def golden(data):
    return np.load(data / "m2n2.npz")


@pytest.fixture(scope="module")
def given_masks():
    truth, masks = inputs.click_masks()
    return Truth(truth == 1, truth == -1), masks.astype(bool)


def plain(click):
    return [click.x, click.y, int(click.inside)]


def test_clicks_of_the_field(golden, given_masks):
    truth, masks = given_masks
    clicked: list[tuple[int, int]] = []
    for mask, expected in zip(masks, golden["clicks/standard"].tolist(), strict=True):
        click = next_click(truth, mask, clicked)
        assert plain(click) == expected
        clicked.append((int(click.y), int(click.x)))
    assert [plain(next_click(truth, mask)) for mask in masks] == golden["clicks/standard_fresh"].tolist()


def test_clicks_move_off_earlier_ones(golden, given_masks):
    truth, masks = given_masks
    clicked: list[tuple[int, int]] = []
    for expected in golden["clicks/standard_same_prediction"].tolist():
        click = next_click(truth, masks[1], clicked)
        assert plain(click) == expected
        clicked.append((int(click.y), int(click.x)))


def test_clicks_of_m2n2(golden):
    labels, masks = inputs.click_masks()
    truth = Truth(labels == 1, np.zeros(labels.shape, bool))
    ours = [plain(next_click_m2n2(truth, mask.astype(bool))) for mask in masks]
    assert ours == golden["clicks/m2n2_rule"].tolist()


def test_overlaps(golden, given_masks):
    truth, masks = given_masks
    assert np.allclose([overlap(truth, mask) for mask in masks], golden["clicks/iou"], rtol=0, atol=1e-12)


def test_number_of_clicks(golden):
    rows = [[value for value in row if not np.isnan(value)] for row in golden["clicks/noc_ious"].tolist()]
    for k, target in enumerate((0.80, 0.85, 0.90)):
        needed = [clicks_needed(row, target) for row in rows]
        assert np.isclose(np.mean(needed), golden["clicks/noc"][k], rtol=0, atol=1e-12)
        assert sum(count == LIMIT for count in needed) == golden["clicks/noc_at_limit"][k]
        assert sum(failed(row, target) for row in rows) <= golden["clicks/noc_at_limit"][k]


def test_success_at_the_last_click_is_no_failure():
    ious = [0.1] * 19 + [0.9]
    assert (clicks_needed(ious, 0.9), failed(ious, 0.9)) == (20, False)
    assert (clicks_needed([0.1], 0.9), failed([0.1], 0.9)) == (20, True)
    assert continued([0.2, 0.4], 4) == [0.2, 0.4, 0.4, 0.4]


@pytest.mark.parametrize("scene", ["loop01", "loop023"])
def test_the_golden_loop_click_by_click(golden, scene):
    """From each stored mask the next stored click follows, and the IoU."""
    which = (0, 1) if scene == "loop01" else (0, 2, 3)
    region = inputs.truth(96, 128, which) > 0
    truth = Truth(region, np.zeros(region.shape, bool))
    bits = golden[f"scene_a/{scene}_masks"]
    masks = [np.unpackbits(row)[: 96 * 128].reshape(96, 128).astype(bool) for row in bits]
    expected = golden[f"scene_a/{scene}_clicks"].tolist()
    calls = iter(masks)
    played = play(truth, lambda clicks: next(calls), whole=True, limit=len(masks))
    assert [plain(click) for click in played.clicks] == expected
    assert np.allclose(played.ious, golden[f"scene_a/{scene}_iou"], rtol=0, atol=1e-12)


def depth_by_loops(region):
    """Distance to the nearest pixel that is not in the region, one ring beyond the image included."""
    rows, columns = region.shape
    outside = [
        (y, x)
        for y in range(-1, rows + 1)
        for x in range(-1, columns + 1)
        if not (0 <= y < rows and 0 <= x < columns and region[y, x])
    ]
    far = np.zeros(region.shape)
    for y, x in zip(*np.nonzero(region), strict=True):
        far[y, x] = min((y - v) ** 2 + (x - u) ** 2 for v, u in outside)
    return far  # squared: exact


@settings(deadline=None)
@given(st.integers(2, 7), st.integers(2, 9), st.integers(0, 9999))
def test_next_click_against_loops(rows, columns, seed):
    rng = np.random.default_rng(seed)
    region, mask = rng.random((2, rows, columns)) < rng.uniform(0.2, 0.9, (2, 1, 1))
    ignored = rng.random((rows, columns)) < 0.2
    clicked = [(int(rng.integers(rows)), int(rng.integers(columns))) for _ in range(int(rng.integers(3)))]
    missing, surplus = depth_by_loops(region & ~mask & ~ignored), depth_by_loops(~region & mask & ~ignored)
    for pixel in clicked:
        missing[pixel] = surplus[pixel] = 0
    inside = missing.max() > surplus.max()
    best, where = -1.0, (0, 0)
    for y in range(rows):
        for x in range(columns):
            value = (missing if inside else surplus)[y, x]
            if value > best:
                best, where = value, (x, y)
    assert plain(next_click(Truth(region, ignored), mask, clicked)) == [*where, int(inside)]


def test_m2n2_clicks_into_an_object_without_error():
    region = np.zeros((6, 9), bool)
    region[1:4, 2:7] = True
    assert plain(next_click_m2n2(Truth(region, ~region), region)) == [3, 2, 1]


def test_play_stops_at_the_goal_and_goes_on_when_asked():
    region = np.zeros((8, 10), bool)
    region[2:6, 2:8] = True
    truth = Truth(region, np.zeros(region.shape, bool))
    grown = np.zeros(region.shape, bool)

    def decide(clicks):
        for click in clicks:
            grown[int(click.y), :] = region[int(click.y), :]
        return grown

    short = play(truth, decide)
    assert short.ious[-1] == 1.0
    assert len(short.ious) == 4
    assert len(play(truth, decide, whole=True).ious) == LIMIT
    assert len(play(truth, decide, "m2n2", limit=3).ious) == 3
