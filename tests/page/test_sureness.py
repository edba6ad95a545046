"""Whether words are in an image: by the rule of CLIP's maps, other names of a word beside it left out."""

import pytest

from iseg.backbones.table import load_row
from iseg.page import sureness
from iseg.page.sureness import Sureness
from scripts.train_tiny.scenes import render, scene_rng


@pytest.fixture(scope="module")
def sure():
    return Sureness()


@pytest.fixture(scope="module")
def shown():
    """A bicycle, a bottle and a sofa, (192, 256, 3)."""
    return render(scene_rng(77, 14), (192, 256)).image


def test_words_that_are_there_are_told_from_others(sure, shown):
    assert sure.found(shown, ["sofa", "cat", "bicycle"], load_row("tiny"), "cpu") == [True, False, True]


def test_a_second_name_of_a_word_takes_nothing_from_it(sure, shown):
    assert sure.found(shown, ["couch"], load_row("tiny"), "cpu") == [True]
    assert sure.found(shown, ["couch", "cat", "sofa"], load_row("tiny"), "cpu") == [True, False, True]


def test_nothing_is_told_of_unknown_words_or_without_a_clip(sure, shown, monkeypatch):
    assert sure.found(shown, ["unicorn"], load_row("tiny"), "cpu") is None
    monkeypatch.setattr(sureness, "try_to_load_from_cache", lambda *_: None)
    assert Sureness().found(shown, ["cat"], load_row("sd21-base"), "cpu") is None
