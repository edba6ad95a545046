"""`iseg clicks` from the command line: its files, going on, shares, and what is refused."""

import csv
import json
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from iseg.cli import main
from iseg.noc import run as noc_run
from scripts.train_tiny.scenes import render, scene_rng

FILES = ["objects.csv", "results.json", "curve.json", "curve.png"]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory) -> Path:
    """images/ and masks/ of four small scenes, of one object each but for the first."""
    root = tmp_path_factory.mktemp("scenes")
    for folder in ("images", "masks"):
        (root / folder).mkdir()
    for index, size in enumerate([(48, 64), (56, 48), (48, 80), (48, 48)]):
        scene = render(scene_rng(6, index), size, max_objects=1 + (index == 0))
        Image.fromarray(scene.image).save(root / "images" / f"scene_{index}.png")
        Image.fromarray(scene.mask).save(root / "masks" / f"scene_{index}.png")
    return root


def command(scenes: Path, out: Path, *more: str) -> int:
    given = ["clicks", "--data", "folder", "--root", str(scenes), "--model", "tiny", "--device", "cpu"]
    return main([*given, "--decision", "refine,cut", "--decision-size", "40", "--out", str(out), *more])


@pytest.fixture(scope="module")
def whole(scenes, tmp_path_factory) -> Path:
    """The results of an uninterrupted run."""
    out = tmp_path_factory.mktemp("whole")
    assert command(scenes, out) == 0
    return out


def same_results(one: Path, other: Path) -> bool:
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in FILES)


def test_what_is_written(whole, scenes):
    results = json.loads((whole / "results.json").read_text())
    rows = list(csv.DictReader((whole / "objects.csv").read_text().splitlines()))
    objects = sum(len(np.unique(np.asarray(Image.open(path)))) - 1 for path in (scenes / "masks").iterdir())
    assert (results["images"], results["of_images"], results["protocol"]) == (4, 4, "ritm")
    assert list(results["decisions"]) == ["refine", "cut"]
    for decision, row in results["decisions"].items():
        own = [each for each in rows if each["decision"] == decision]
        assert len(own) == row["objects"] == objects
        for target in (85, 90):
            assert np.isclose(np.mean([int(each[f"noc{target}"]) for each in own]), row[f"noc{target}"])
            assert sum(each[f"reaches{target}"] == "0" for each in own) == row[f"nof{target}"]
        assert np.isclose(np.mean([float(each["iou1"]) for each in own]), row["iou"][0])
        assert len(row["iou"]) == 20
    assert json.loads((whole / "curve.json").read_text())["iou"]["cut"] == results["decisions"]["cut"]["iou"]
    with Image.open(whole / "curve.png") as picture:
        assert picture.size == (940, 520)
    record = json.loads((whole / "records" / "scene_0.json").read_text())
    first = record["objects"][0]
    mask = np.asarray(Image.open(scenes / "masks" / "scene_0.png"))
    assert first["pixels"] == (mask == first["id"]).sum()
    x, y, inside = first["decisions"]["cut"]["clicks"][0]
    assert inside == 1
    assert mask[y, x] == first["id"]


def test_an_ended_run_goes_on_to_the_same(whole, scenes, tmp_path, monkeypatch, capsys):
    plain = noc_run._play_image

    def terminated(*given):
        os.kill(os.getpid(), signal.SIGTERM)
        return plain(*given)

    with monkeypatch.context() as patch:
        patch.setattr(noc_run, "_play_image", terminated)
        assert command(scenes, tmp_path) == 143
    assert [path.name for path in (tmp_path / "records").iterdir()] == ["scene_0.json"]
    assert not (tmp_path / "results.json").exists()
    assert command(scenes, tmp_path) == 0
    assert "1 of 4 images were played before" in capsys.readouterr().out
    assert same_results(whole, tmp_path)


def test_shares_make_the_whole(whole, scenes, tmp_path, capsys):
    out = tmp_path / "out"
    assert command(scenes, out, "--shard", "1/3") == 0
    partial = json.loads((out / "results.json").read_text())
    assert 0 < partial["images"] < partial["of_images"] == 4
    assert f"{partial['images']} of 4 images" in capsys.readouterr().out
    assert command(scenes, out, "--shard", "2/3") == 0
    assert command(scenes, out, "--shard", "3/3") == 0
    assert same_results(whole, out)


def test_other_settings_are_refused(whole, scenes, capsys):
    before = {path: path.read_bytes() for path in whole.rglob("*.*") if path.is_file()}
    assert command(scenes, whole, "--protocol", "m2n2") == 2
    said = capsys.readouterr().err
    assert "holds records of another configuration" in said
    assert "protocol: 'ritm' in the folder, 'm2n2' now" in said
    assert before == {path: path.read_bytes() for path in before}


def test_an_image_that_cannot_be_used_spoils_no_other(whole, scenes, tmp_path, capsys):
    broken, out = tmp_path / "scenes", tmp_path / "out"
    shutil.copytree(scenes, broken)
    (broken / "images" / "scene_2.png").write_bytes(b"\x89PNG cut off")
    assert command(broken, out, "--decision", "refine") == 1
    assert "1 of 4 images failed" in capsys.readouterr().err
    results = json.loads((out / "results.json").read_text())
    assert list(results["failures"]) == ["scene_2"]
    assert results["images"] == 3
    shutil.copy(scenes / "images" / "scene_2.png", broken / "images")
    assert command(broken, out, "--decision", "refine") == 0
    kept = json.loads((whole / "results.json").read_text())["decisions"]["refine"]
    assert json.loads((out / "results.json").read_text())["decisions"]["refine"] == kept


def test_records_of_another_set_are_refused(whole, scenes, tmp_path, capsys):
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
        shutil.copy(scenes / folder / "scene_0.png", tmp_path / folder / "other.png")
    assert command(tmp_path, whole) == 2
    assert "holds records of another data set, e.g. of 'scene_0'" in capsys.readouterr().err


def test_pieces_and_another_size(scenes, tmp_path, capsys):
    given = ["--decision", "refine", "--pieces", "15", "--size", "192"]
    assert command(scenes, tmp_path / "out", *given) == 0
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    shares = [np.mean(np.asarray(Image.open(path)) == index) for path in sorted((scenes / "masks").iterdir())
              for index in np.unique(np.asarray(Image.open(path)))[1:]]  # fmt: skip
    large = sum(share >= 0.15 for share in shares)  # their objects are of one piece
    assert (results["images"], results["pieces"]) == (4, 0.15)
    assert 0 < results["decisions"]["refine"]["objects"] == large < len(shares)
    assert command(scenes, tmp_path / "out", *given[:-2]) == 2
    assert "size: 192 in the folder, None now" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--pieces", "0"], "--pieces is 0: expected percent of an image, above 0 and at most 100"),
        (["--size", "300"], "size 300: tiny takes multiples of 32 from 192 to 768, best 384"),
        (["--decision", "guess"], "--decision: 'guess' is not known: expected any of refine, markov, cut"),
        (["--shard", "3/2"], "expected I/N"),
        (["--limit", "0"], "--limit is 0: expected at least 1"),
        (["--data", "davis"], "DAVIS is not complete"),
        (["--masks", "nowhere"], "nowhere: holds no image"),
    ],
)
def test_what_is_refused(scenes, tmp_path, capsys, more, said):
    assert command(scenes, tmp_path / "out", *more) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
