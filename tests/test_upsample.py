"""Bilateral upsampling along rows and columns, beside plain loops and beside the published form."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from iseg.upsample import joint_bilateral, separable_bilateral, small_picture


def along_rows(large, guide, sigma, range_):
    """One mean along the rows of (K, H, W), by loops."""
    stride, width = max(1, int(sigma / 2)), large.shape[2]
    out = np.empty_like(large)
    for y, x in np.ndindex(large.shape[1:]):
        total, weight = large[:, y, x].copy(), 1.0
        for u in range(width):
            if u == x or abs(u - x) > 3 * sigma or (u - x) % stride:
                continue
            colour = ((guide[:, y, x] - guide[:, y, u]) ** 2).sum()
            share = np.exp(-(((u - x) / sigma) ** 2) / 2 - colour / (2 * range_**2))
            total, weight = total + share * large[:, y, u], weight + share
        out[:, y, x] = total / weight
    return out


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 999), st.floats(0.3, 2), st.integers(1, 2))
def test_separable_against_loops(seed, cells, rounds):
    rng = np.random.default_rng(seed)
    small, guide = rng.random((2, 3, 4)), rng.random((3, 11, 9))
    ours = separable_bilateral(torch.from_numpy(small), torch.from_numpy(guide), cells, 0.3, rounds)
    large = torch.nn.functional.interpolate(torch.from_numpy(small)[None], (11, 9), mode="bilinear")[0].numpy()
    for _ in range(rounds):
        large = along_rows(large, guide, 9 * cells / 4, 0.3)
        large = along_rows(large.swapaxes(1, 2), guide.swapaxes(1, 2), 11 * cells / 3, 0.3).swapaxes(1, 2)
    np.testing.assert_allclose(ours.numpy(), large, atol=1e-5)


def test_both_forms_move_a_rough_edge_to_that_of_the_picture():
    guide = torch.zeros(3, 48, 80)
    guide[:, :, 33:] = 0.6
    rough = torch.zeros(1, 6, 10)
    rough[:, :, 5:] = 1  # an edge at 40
    for smooth in (joint_bilateral(rough, guide), separable_bilateral(rough, guide)):
        assert smooth.shape == (1, 48, 80)
        assert smooth.amin() >= 0
        assert smooth.amax() <= 1 + 1e-6
        step = (smooth[0, :, 1:] - smooth[0, :, :-1]).mean(0)
        assert int(step.argmax()) == 32
    exact, fast = joint_bilateral(rough, guide, stride=4), separable_bilateral(rough, guide, 1.0, 0.1, 1)
    assert (exact - fast).abs().max() < 0.02


@pytest.mark.parametrize("value", [0.0, 0.25])
def test_a_constant_map_stays(value):
    smooth = separable_bilateral(torch.full((1, 4, 4), value), torch.rand(3, 20, 13))
    assert torch.allclose(smooth, torch.full((1, 20, 13), value), atol=1e-6)


def test_small_pictures_have_colours_of_8_bits():
    small = small_picture(torch.rand(3, 60, 90), 30) * 255
    assert small.shape == (3, 20, 30)
    assert torch.allclose(small, small.round(), atol=1e-3)
