"""Runs that average mirrored views and noise seeds."""

import json

import fake_model
import numpy as np
import pytest
import torch
import yaml
from fake_data import make_voc
from fake_model import FakeModel, install

from iseg import ISeg
from iseg.data.read import read_label
from iseg.evaluate import main, outputs
from iseg.evaluate.views import noise_of, unmirrored
from iseg.recipe import load_recipe

IDS = [(1,), (2, 3), (15,)]


@pytest.fixture
def noisy(monkeypatch):
    """A model whose maps depend on the noise seed: each one looks at other colours."""
    monkeypatch.setattr(ISeg, "from_pretrained", ISeg.from_pretrained)
    for name in ("weights_digest", "precision", "row_name"):
        monkeypatch.setattr(outputs, name, getattr(outputs, name))
    own, seeds = FakeModel.attend_latents, []

    def attend(self, latents, *more):
        seeds.append(self.backbone.row.noise_seed)
        return own(self, latents + 0.05 * (self.backbone.row.noise_seed - 1101), *more)

    monkeypatch.setattr(FakeModel, "attend_latents", attend)
    install()
    return seeds


@pytest.fixture
def run(tmp_path, noisy):
    """Runs into OUT with more options."""
    make_voc(tmp_path / "data", IDS, {"train": range(len(IDS))})
    content = {
        "model": "fake",
        "device": "cpu",
        "data": {"kind": "voc", "split": "train", "root": str(tmp_path / "data")},
        "recipe": {"iterations": 1, "entropy": 0.05, "background": "power", "cluster": False},
    }
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(content))
    more = ["--config", str(tmp_path / "run.yaml"), "--batch_size", "2"]
    return lambda out, *given: main(["run", *more, "--out", str(tmp_path / out), *map(str, given)])


def masks(folder) -> dict[str, np.ndarray]:
    return {path.stem: read_label(path, 21) for path in sorted((folder / "masks").glob("*.png"))}


def test_the_plain_view_and_one_seed_are_the_run_itself(tmp_path, run):
    assert run("plain") == run("view", "--views", fake_model.GRID) == 0
    one, other = masks(tmp_path / "plain"), masks(tmp_path / "view")
    assert one.keys() == other.keys()
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_seeds_are_averaged_and_each_is_scored(tmp_path, run, noisy, capsys):
    assert run("seeds", "--seeds", 3) == 0
    assert sorted(set(noisy)) == [1101, 1102, 1103]
    said = json.loads((tmp_path / "seeds" / "seeds.json").read_text())
    assert said["images"] == 3
    assert np.mean(said["miou"]) == pytest.approx(said["mean"])
    assert np.std(said["miou"], ddof=1) == pytest.approx(said["deviation"])
    assert "each of 3 seeds alone: mIoU" in capsys.readouterr().out
    assert run("alone") == 0
    alone = masks(tmp_path / "alone")
    first = masks(tmp_path / "seeds" / "seeds" / "0")
    assert all(np.array_equal(first[name], alone[name]) for name in alone)


def test_a_mirrored_view_is_turned_back():
    maps = torch.arange(2 * 9 * 3).reshape(2, 9, 3).float()
    turned = unmirrored(maps)
    assert torch.equal(turned.reshape(2, 3, 3, 3), maps.reshape(2, 3, 3, 3).flip(2))
    assert torch.equal(unmirrored(turned), maps)


def test_a_model_that_sees_no_sides_gives_the_same_mirrored(tmp_path, run):
    """Maps that look at colours alone do not change with the picture's side."""
    assert run("plain") == run("both", "--views", f"{fake_model.GRID},flip") == 0
    one, other = masks(tmp_path / "plain"), masks(tmp_path / "both")
    assert np.mean([np.mean(one[name] == other[name]) for name in one]) > 0.99


def test_other_views_are_refused_in_one_line(run, capsys):
    assert run("bad", "--views", "384,flip") == 2
    assert "views is '384,flip': expected 16 (the model's size), flip, or both" in capsys.readouterr().err


def test_the_noise_comes_back(noisy):
    backbone = FakeModel(load_recipe("wsss/voc")).backbone
    with pytest.raises(RuntimeError, match="told"), noise_of(backbone, 2):
        raise RuntimeError(f"told {backbone.row.noise_seed}")
    assert backbone.row.noise_seed == 1101
