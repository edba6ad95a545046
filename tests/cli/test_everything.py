"""`iseg segment --everything` on the embedded model."""

import json

import numpy as np
import pytest
from PIL import Image

from iseg.cli import main

# pycocotools' decode under numpy 2; nothing a caller can change
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture
def image(tmp_path, scene):
    path = tmp_path / "scene.png"
    Image.fromarray(scene).save(path)
    return path


def segment(image, out, *options):
    return main(
        ["segment", str(image), "--everything", "--model", "tiny", "--device", "cpu", "--out", str(out), *options]
    )


@pytest.mark.parametrize("method", ["merge", "cut", "ours"])
def test_files_of_an_image(image, tmp_path, capsys, method):
    assert segment(image, tmp_path / "out", "--regions", method) == 0
    with Image.open(tmp_path / "out" / "scene.png") as opened:
        assert opened.mode == "P"
        labels = np.asarray(opened)
    content = json.loads((tmp_path / "out" / "scene.coco.json").read_text())
    assert labels.shape == (90, 140)
    areas = [each["area"] for each in content["annotations"]]
    assert areas == [int((labels == k).sum()) for k in range(1, labels.max() + 1)]
    assert sum(areas) == labels.size
    assert all(0 <= each["score"] <= 1 for each in content["annotations"])
    with Image.open(tmp_path / "out" / "scene.panel.png") as opened:
        assert opened.width > opened.height
    assert f"{len(areas)} regions" in capsys.readouterr().out


def test_what_cannot_be_used(image, tmp_path, capsys):
    assert segment(image, tmp_path / "out", "--coarse", "2") == 2
    assert "coarse is 2.0: expected a number in 0..1" in capsys.readouterr().err
    assert segment(image, tmp_path / "out", "--classes", "cat") == 2
    assert segment(image, tmp_path / "out", "--regions", "x") == 2
    (tmp_path / "bad.png").write_bytes(b"no image")
    capsys.readouterr()
    assert segment(tmp_path / "bad.png", tmp_path / "out", str(image)) == 1
    printed = capsys.readouterr()
    assert "bad.png: not an image" in printed.err
    assert "regions" in printed.out
