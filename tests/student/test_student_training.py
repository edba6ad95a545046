"""Training a student: resumed = uninterrupted, what is written, what is refused."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from transformers import AutoImageProcessor, AutoModelForSemanticSegmentation

from iseg.backbones.quiet import quiet
from iseg.cli import main as cli
from iseg.data.read import read_stored
from iseg.files.export import write_mask
from iseg.student.main import main
from iseg.student.network import load_student
from iseg.student.predict import probabilities
from iseg.student.trainer import Trainer


def train(config, out, *more) -> int:
    return main(["train", "--config", str(config), "--out", str(out), *map(str, more)])


def losses(out) -> list[float]:
    return json.loads((out / "checkpoint" / "checkpoint.json").read_text())["losses"]


@pytest.fixture(scope="module")
def trained(config, tmp_path_factory):
    """A training that nothing interrupted."""
    out = tmp_path_factory.mktemp("trained") / "whole"
    assert train(config, out) == 0
    return out


def test_a_training_leaves_a_student_its_score_and_its_curves(trained):
    results = json.loads((trained / "results.json").read_text())
    assert [each["step"] for each in results["validations"]] == [3, 6]
    assert results["best_miou"] == max(each["miou"] for each in results["validations"]) == results["miou"]
    assert len(losses(trained)) == 6
    assert np.isfinite(losses(trained)).all()
    with Image.open(trained / "curves.png") as picture:
        assert picture.size[0] > 100


def test_resumed_is_uninterrupted(config, trained, tmp_path, monkeypatch):
    own = Trainer.update

    def cut(self, *batch):
        if self.progress.step == 4:
            raise KeyboardInterrupt
        return own(self, *batch)

    out = tmp_path / "cut"
    monkeypatch.setattr(Trainer, "update", cut)
    with pytest.raises(KeyboardInterrupt):
        train(config, out)
    monkeypatch.undo()
    assert len(losses(out)) == 3
    assert train(config, out) == 0
    assert losses(out) == losses(trained)
    one, other = (load_file(folder / "last" / "model.safetensors") for folder in (out, trained))
    assert all(torch.equal(one[name], other[name]) for name in other)


def test_a_training_of_other_settings_is_refused(config, trained, capsys):
    assert train(config, trained, "--rate", 0.02) == 2
    assert "rate: 0.01 in the folder, 0.02 now" in capsys.readouterr().err


def test_plain_transformers_loads_the_student(trained, voc):
    image = read_stored(voc / "VOCdevkit/VOC2012/JPEGImages/2007_000006.jpg")
    with quiet("transformers"):
        network = AutoModelForSemanticSegmentation.from_pretrained(trained / "best")
        processor = AutoImageProcessor.from_pretrained(trained / "best")
    with torch.inference_mode():
        logits = network(**processor(image, return_tensors="pt")).logits
        ours = load_student(trained / "best")(torch.from_numpy(image.copy()).permute(2, 0, 1)[None])
    assert network.config.id2label[3] == "bird"
    assert torch.allclose(logits, ours, atol=1e-4)


def test_iseg_segment_runs_the_student(trained, voc, tmp_path, capsys):
    image = voc / "VOCdevkit/VOC2012/JPEGImages/2007_000007.jpg"
    assert cli(["segment", str(image), "--student", str(trained / "best"), "--out", str(tmp_path), "--flip"]) == 0
    expected = probabilities(load_student(trained / "best"), read_stored(image), [0.75], True).argmax(0)
    with Image.open(tmp_path / "2007_000007.png") as mask:
        assert np.array_equal(np.asarray(mask), expected)
    assert (tmp_path / "2007_000007.overlay.png").is_file()
    assert cli(["segment", str(image), "--student", str(tmp_path), "--out", str(tmp_path)]) == 2
    assert "no student is there" in capsys.readouterr().err


def test_evaluate_scores_the_student_again(trained, voc, capsys):
    known = json.loads((trained / "results.json").read_text())["miou"]
    ask = ["evaluate", "--student", str(trained / "best"), "--root", str(voc), "--device", "cpu"]
    assert main(ask) == 0
    again = json.loads((trained / "best" / "voc-val" / "results.json").read_text())
    assert again["miou"] == pytest.approx(known)
    assert again["scales"] == load_student(trained / "best").scales == [0.75]
    assert main([*ask, "--scales", "0.5,1", "--flip", "--limit", "1", "--out", str(trained / "more")]) == 0
    assert main([*ask, "--classes", "coco80"]) == 2
    assert "knows 20 classes" in capsys.readouterr().err


@pytest.fixture
def masks(voc, tmp_path):
    """A copy of the masks, to spoil."""
    return shutil.copytree(voc / "VOCdevkit/VOC2012/SegmentationClassAug", tmp_path / "masks")


def spoil_size(masks):
    write_mask(masks / "2007_000001.png", np.zeros((10, 20), np.uint8))
    return "2007_000001.png: is 20x10, its image 2007_000001.jpg 40x60: expected a mask of the image's size"


def spoil_id(masks):
    write_mask(masks / "2007_000002.png", np.full((48, 48), 99, np.uint8))
    return "2007_000002.png: holds label 99: expected 0..20 or 255"


def spoil_name(masks):
    (masks / "2007_000003.png").unlink()
    return "1 of 6 training images have no mask (2007_000003): segment them first, or leave them out"


@pytest.mark.parametrize("spoil", [spoil_size, spoil_id, spoil_name])
def test_a_mask_that_cannot_be_learnt_is_one_clear_line(config, masks, tmp_path, capsys, spoil):
    said = spoil(masks)
    assert train(config, tmp_path / "out", "--masks", masks) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert len(lines) == 1
    assert said in lines[0]
    assert not (tmp_path / "out").exists()


def test_images_without_a_mask_may_be_left_out(config, masks, tmp_path):
    spoil_name(masks)
    assert train(config, tmp_path / "out", "--masks", masks, "--missing", "skip", "--steps", 1) == 0


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--augment.crop", 50], "augment.crop is 50: expected a multiple of 32"),
        (["--scales", "[]"], "scales is []"),
        (["--precision", "float16"], "needs a GPU"),
        (["--network.widths", 3], "network has unknown key 'widths'"),
        (["--model", "{empty}", "--network", "{{}}"], "cannot be had"),
        (["--ema", 1], "ema is 1"),
    ],
)
def test_bad_settings_are_one_clear_line(config, tmp_path, capsys, more, said):
    (tmp_path / "empty").mkdir()
    given = [str(value).format(empty=tmp_path / "empty") for value in more]
    assert train(config, tmp_path / "out", *given) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith("error: ")
    assert said in line
