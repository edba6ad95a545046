"""`iseg segment --vocabulary --maps clip|joined`: words are found and cut out without labels, absent words are not."""

import json

import numpy as np
import pytest
from PIL import Image

from iseg.cli import main, worker
from scripts.train_tiny.scenes import render, scene_rng


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    """A scene with a bicycle, a bottle and a sofa, 256x192."""
    shown = render(scene_rng(77, 14), (192, 256))
    assert shown.words == ("bicycle", "bottle", "sofa")
    path = tmp_path_factory.mktemp("scene") / "photo.png"
    Image.fromarray(shown.image).save(path)
    return path, shown.mask


def segmented(photo, out, *given):
    path = photo[0]
    assert main(["segment", str(path), "--model", "tiny", "--device", "cpu", "--out", str(out), *given]) == 0
    with Image.open(out / "photo.png") as mask:
        return json.loads((out / "photo.json").read_text(encoding="utf-8")), np.asarray(mask)


@pytest.fixture
def one_model(tiny, monkeypatch):
    monkeypatch.setattr(worker, "load_model", lambda job: tiny)


@pytest.mark.parametrize("maps", ["clip", "joined"])
def test_the_words_of_an_image_are_cut_out(one_model, photo, tmp_path, maps):
    given = ["--vocabulary", "cat; sofa|couch; dog", "--background_words", "grass; wall", "--maps", maps]
    sidecar, mask = segmented(photo, tmp_path, *given)
    assert [entry["name"] for entry in sidecar["classes"]] == ["sofa"]
    assert sidecar["prompt"] == {"vocabulary": ["cat", "sofa|couch", "dog"], "classes": ["sofa"]}
    assert sidecar["model"]["maps"] == maps
    assert sidecar["model"]["background_words"] == "grass; wall"
    truth = photo[1] == 18  # VOC's sofa
    assert ((mask == 1) & truth).sum() > 0.5 * ((mask == 1) | truth).sum()


def test_a_second_name_finds_the_same(one_model, photo, tmp_path):
    masks = [segmented(photo, tmp_path / words, "--vocabulary", f"{words}; dog", "--maps", "clip")[1]
             for words in ("sofa", "couch|sofa")]  # fmt: skip
    assert np.mean(masks[0] != masks[1]) < 0.02


def test_nothing_that_was_asked_for(one_model, photo, tmp_path):
    sidecar, mask = segmented(photo, tmp_path, "--vocabulary", "bus; cow", "--maps", "clip")
    assert sidecar["classes"] == []
    assert not mask.any()


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (["--classes", "cat", "--maps", "clip"], "--maps clip was given without --vocabulary"),
        (["--vocabulary", "cat", "--background_words", "sky"], "--background_words was given without --maps"),
        (["--vocabulary", "sofa|couch; couch", "--maps", "clip"], "'couch' is given twice"),
        (["--vocabulary", "sofa|; cat", "--maps", "clip"], "expected a word"),
        (["--vocabulary", "unicorn; cat", "--maps", "clip"], "not known to this CLIP"),
        (["--vocabulary", "cat", "--maps", "clip", "--save", "animation"], "--save animation was given with --maps"),
    ],
)
def test_bad_options(one_model, photo, tmp_path, capsys, given, line):
    out = tmp_path / "out"
    assert main(["segment", str(photo[0]), "--model", "tiny", "--device", "cpu", "--out", str(out), *given]) == 2
    said = capsys.readouterr().err
    assert line in said
    assert said.count("\n") == 1
    assert not out.exists()
