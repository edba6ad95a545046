"""`iseg segment --vocabulary`: CLIP chooses the words, the rest is as with --classes."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from iseg.cli import main, worker


class Chooser:
    """A tagger that finds the words whose initial is in `initials`."""

    def __init__(self, initials: str) -> None:
        self.initials = initials

    def tag(self, image, vocabulary):
        assert image.dtype == np.uint8
        return SimpleNamespace(chosen=[k for k, word in enumerate(vocabulary) if word[0] in self.initials])


@pytest.fixture
def photo(tmp_path, scene):
    path = tmp_path / "photo.png"
    Image.fromarray(scene).save(path)
    return path


@pytest.fixture
def chooser(tiny, monkeypatch):
    monkeypatch.setattr(worker, "load_model", lambda job: tiny)
    monkeypatch.setattr(worker, "load_tagger", lambda job: Chooser("cd"))


@pytest.mark.parametrize("form", ["text", "file"])
def test_the_words_found_are_segmented(chooser, photo, tmp_path, form):
    words = ["bus", "cat", "dog", "train"]
    listed = tmp_path / "words.txt"
    listed.write_text("# animals and more\n" + "\n".join(words), encoding="utf-8")
    given = "; ".join(words) if form == "text" else str(listed)
    out = tmp_path / "out"
    assert main(["segment", str(photo), "--vocabulary", given, "--model", "tiny", "--out", str(out)]) == 0
    sidecar = json.loads((out / "photo.json").read_text(encoding="utf-8"))
    assert [entry["name"] for entry in sidecar["classes"]] == ["cat", "dog"]
    assert sidecar["prompt"] == {"vocabulary": words, "classes": ["cat", "dog"]}
    assert set(np.unique(np.array(Image.open(out / "photo.png")))) <= {0, 1, 2}


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--vocabulary", "cat; unicorn"], "tiny does not know 'unicorn'"),
        (["--vocabulary", ""], "vocabulary is empty"),
        (["--vocabulary", "cat; ; dog"], "class 2 of the vocabulary is empty"),
        (["--vocabulary", "cat; cat"], "twice"),
        (["--vocabulary", "no/such/file.txt"], "no such file"),
        (["--vocabulary", "cat", "--classes", "cat"], "exactly one of"),
        (["--classes", "cat", "--clip", "somewhere"], "--clip was given without --vocabulary"),
    ],
)
def test_bad_vocabularies(photo, tmp_path, capsys, arguments, line):
    code = main(["segment", str(photo), "--model", "tiny", "--out", str(tmp_path / "out"), *arguments])
    said = capsys.readouterr().err
    assert code == 2
    assert line in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_clip_that_is_not_clip_is_one_line(tiny, monkeypatch, photo, tmp_path, capsys):
    monkeypatch.setattr(worker, "load_model", lambda job: tiny)
    (tmp_path / "empty").mkdir()
    out = str(tmp_path / "out")
    code = main(
        [
            "segment",
            str(photo),
            "--model",
            "tiny",
            "--out",
            out,
            "--vocabulary",
            "cat",
            "--clip",
            str(tmp_path / "empty"),
        ]
    )
    said = capsys.readouterr().err
    assert code == 2
    assert str(tmp_path / "empty") in said
    assert said.count("\n") == 1
