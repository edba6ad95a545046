"""Runs that average sizes, mirrored views and noise seeds."""

import json

import fake_model
import numpy as np
import pytest
import torch
import yaml
from fake_data import make_voc, picture
from fake_model import FakeModel, install
from PIL import Image

from iseg import ISeg
from iseg.backbones.table import load_row
from iseg.data.read import read_label
from iseg.errors import InputError
from iseg.evaluate import main, outputs
from iseg.recipe import load_recipe
from iseg.views import View, on_grid, read_views, unmirrored

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


def test_sizes_are_averaged_in_any_order_and_mirrored_pictures_have_mirrored_masks(tmp_path, noisy, monkeypatch):
    """A model that sees left from right, on pictures that are no squares and their mirror images."""
    own = FakeModel.attend_latents
    monkeypatch.setattr(
        FakeModel,
        "attend_latents",
        lambda self, latents, *more: own(self, latents + torch.linspace(0, 0.4, latents.shape[3]), *more),
    )
    labels = {}
    for name, size in (("wide", (40, 60)), ("tall", (60, 40))):
        for turned in (False, True):
            shown = picture(3, size)[:, :: -1 if turned else 1]
            (tmp_path / "images").mkdir(exist_ok=True)
            Image.fromarray(np.ascontiguousarray(shown)).save(tmp_path / "images" / f"{name}{turned:d}.png")
            labels[f"{name}{turned:d}"] = ["bird", "cat"]
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    data = {"kind": "folder", "root": str(tmp_path / "images"), "labels": str(tmp_path / "labels.json")}
    recipe = {"iterations": 1, "entropy": 0.05, "background": "power", "cluster": False, "working_size": 32}
    (tmp_path / "run.yaml").write_text(
        yaml.safe_dump({"model": "fake", "device": "cpu", "data": data, "recipe": recipe})
    )

    def made(views):
        out = tmp_path / views.replace(",", "-")
        assert main(["run", "--config", str(tmp_path / "run.yaml"), "--out", str(out), "--views", views]) == 0
        return masks(out)

    one, other, plain = made("16,24,flip"), made("flip,24,16"), made("24,16")
    assert all(np.array_equal(one[name], other[name]) for name in labels)
    for name in ("wide", "tall"):
        assert one[f"{name}0"].shape == plain[f"{name}0"].shape == ((40, 60) if name == "wide" else (60, 40))
        assert np.mean(one[f"{name}0"] == one[f"{name}1"][:, ::-1]) > 0.999
        assert np.mean(plain[f"{name}0"] == plain[f"{name}1"][:, ::-1]) < 0.99
    assert any(not np.array_equal(plain[name], made("16")[name]) for name in labels)


def test_views_are_read_largest_first_and_what_no_model_takes_is_refused():
    row = load_row("sd21-base")
    assert read_views(None, row) == [View(512)]
    assert read_views("flip", row) == [View(512), View(512, True)]
    assert read_views("384, flip,512", row) == [View(512), View(512, True), View(384), View(384, True)]
    for text, said in (
        ("512,mirror", "expected sizes in pixels and flip, each once"),
        ("512,512", "each once"),
        ("flip,flip", "each once"),
        ("", "each once"),
        ("500", "size 500: sd21-base takes multiples of 32 from 256 to 1024, best 512"),
        ("2048", "size 2048"),
        ("0", "size 0"),
    ):
        with pytest.raises(InputError, match=said):
            read_views(text, row)


def test_a_recipe_goes_along_with_the_size():
    row = load_row("sd21-base")
    recipe = row.own_recipe().changed(cluster_stride=11)
    small, scaled = row.at_size(384), row.recipe_at(recipe, 384)
    assert set(small.cross_layers) == {12, 24}
    assert scaled.cross_weights == {12: 0.7, 24: 0.3}
    assert scaled.cluster_stride == 8  # six prototypes in a row, as on the model's own grid
    layers = small.layers(scaled).cross_attention
    assert list(layers.values()) == list(row.layers(recipe).cross_attention.values())
    assert row.recipe_at(recipe, 512) == recipe


def test_maps_on_a_larger_grid_are_as_dense():
    maps = torch.rand(2, 16, 3)
    assert on_grid(maps, 4) is maps
    large = on_grid(maps, 8)
    assert large.shape == (2, 64, 3)
    assert torch.allclose(large.sum(1), maps.sum(1), rtol=0.1)
    constant = on_grid(torch.full((1, 9, 1), 1 / 9), 7)
    assert torch.allclose(constant, torch.tensor(1 / 49))
    turned = on_grid(unmirrored(maps), 6)
    assert torch.allclose(turned, unmirrored(on_grid(maps, 6)), atol=1e-7)


def test_other_views_are_refused_in_one_line(run, capsys):
    assert run("bad", "--views", "384,flip") == 2
    assert "views is '384,flip': size 384: fake takes multiples of 1 from 8 to 32" in capsys.readouterr().err
    assert run("bad", "--views", "16,flip") == 0


def test_a_model_at_another_size_leaves_the_model_as_it_is(noisy):
    seg = FakeModel(load_recipe("wsss/voc"))
    other = seg.at(20, 2)
    assert (other.backbone.row.image_size, other.backbone.row.noise_seed) == (20, 1103)
    assert (seg.backbone.row.image_size, seg.backbone.row.noise_seed) == (16, 1101)
    assert other._lock is seg._lock
    assert other.square(np.zeros((9, 14, 3), np.uint8), seg.recipe).shape == (3, 20, 20)
