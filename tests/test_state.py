"""What is kept of an image: computed once, the oldest pass goes first."""

from unittest.mock import Mock

import numpy as np
import torch

from iseg.results import Attended
from iseg.state import ImageState


def attended(side: int) -> Attended:
    return Attended(None, torch.zeros(side**2, side**2), [], [], (4, 7))


def test_latents_and_passes_are_computed_once():
    state = ImageState(np.zeros((4, 7, 3), np.uint8))
    encode, record = Mock(return_value=torch.zeros(1, 4, 2, 2)), Mock(return_value=attended(2))
    for _ in range(2):
        state.latents("torch", 16, encode)
        state.attended("a", record)
    assert encode.call_count == record.call_count == 1
    assert state.size == (4, 7)
    assert state.nbytes == 4 * 7 * 3 + 4 * 16 + 4 * 16
    assert state.holds("a")
    assert not state.holds("b")


def test_the_least_recently_used_pass_goes():
    state = ImageState(np.zeros((4, 7, 3), np.uint8), kept_passes=2)
    for key in "abab":
        state.attended(key, lambda: attended(2))
    state.attended("a", lambda: attended(2))
    state.attended("c", lambda: attended(2))
    assert [state.holds(key) for key in "abc"] == [True, False, True]
    assert state.forget_oldest()
    assert [state.holds(key) for key in "ac"] == [False, True]
    assert state.forget_oldest()
    assert not state.forget_oldest()


def test_forgetting_leaves_the_pixels():
    state = ImageState(np.zeros((4, 7, 3), np.uint8))
    state.latents("torch", 16, lambda: torch.zeros(1, 4, 2, 2))
    state.attended("a", lambda: attended(2))
    state.forget()
    assert (state.kept, state.nbytes) == (0, state.pixels.nbytes)
