"""Matching against brute force over permutations; the protocol from data to table, with fakes."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from iseg.data import open_items
from iseg.data.classes import load_classes
from iseg.data.read import read_label
from iseg.errors import InputError
from iseg.evaluate.matching import DatasetCounts, MatchedCounts, count_pairs
from iseg.evaluate.region_counts import middle_square
from iseg.files.export import write_image, write_mask
from ovs.regions import main
from scripts import prepare_cityscapes27, prepare_stuff27

ROOT = Path(__file__).parent.parent.parent


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 4), st.integers(1, 6), st.integers(0, 2**16))
def test_matching_is_the_best_of_all_permutations(classes, regions, seed):
    rng = np.random.default_rng(seed)
    truth = rng.choice([*range(classes), 255], (6, 9)).astype(np.uint8)
    found = rng.integers(0, regions, (6, 9))
    counts = count_pairs(truth, found, classes)
    width = max(classes, int(found.max()) + 1)
    assert counts.shape == (classes, width)
    for k, r in itertools.product(range(classes), range(width)):
        assert counts[k, r] == ((truth == k) & (found == r)).sum()
    best = max(sum(counts[k, r] for k, r in enumerate(order))
               for order in itertools.permutations(range(width), classes))  # fmt: skip
    total = MatchedCounts(classes)
    total.add(counts)
    assert total.hits.sum() == best
    valid = (truth != 255).sum()
    assert total.accuracy() == pytest.approx(best / valid) if valid else np.isnan(total.accuracy())
    assert total.hits.sum() + total.false_negatives.sum() == valid


def test_counts_add_over_images_and_classes_that_never_occur_are_left_out():
    truth = np.array([[0, 0, 1, 255]], np.uint8)
    total = MatchedCounts(3)
    total.add(count_pairs(truth, np.array([[5, 5, 2, 2]]), 3))  # perfect, names do not matter
    assert total.iou().tolist()[:2] == [1, 1]
    assert np.isnan(total.iou()[2])
    assert total.mean_iou() == 1
    total.add(count_pairs(truth, np.array([[0, 0, 0, 0]]), 3))  # one region: class 1 is missed, class 0 too large
    assert total.hits.tolist() == [4, 1, 0]
    assert total.false_positives.tolist() == [1, 0, 0]
    assert total.false_negatives.tolist() == [0, 1, 0]
    assert total.mean_iou() == pytest.approx((4 / 5 + 1 / 2) / 2)
    assert total.summary()["class_iou"][2] is None


def test_regions_left_over_cost_the_classes_they_are_matched_to():
    """Three classes, three regions: the region that no class needs is a false positive of the class that is absent."""
    total = MatchedCounts(3)
    total.add(count_pairs(np.array([[0, 0, 0, 1]]), np.array([[0, 0, 2, 1]]), 3))
    assert total.iou().tolist() == [2 / 3, 1, 0]


def test_once_per_data_set_ties_regions_by_size():
    once = DatasetCounts(2)
    once.add(count_pairs(np.array([[0, 0, 0, 1]]), np.array([[7, 7, 7, 3]]), 2))
    once.add(count_pairs(np.array([[1, 1, 1, 0]]), np.array([[0, 0, 0, 1]]), 2))
    assert once.matched().accuracy() == 0.5  # each image alone would be perfect
    assert MatchedCounts(2).summary()["miou"] is None


def test_pairs_that_cannot_be_counted():
    with pytest.raises(InputError, match=r"they must be equal"):
        count_pairs(np.zeros((2, 3), int), np.zeros((3, 2), int), 2)
    with pytest.raises(InputError, match=r"truth holds labels 0..4: expected 0..1"):
        count_pairs(np.array([[0, 4]]), np.zeros((1, 2), int), 2)
    with pytest.raises(InputError, match=r"regions hold label -1"):
        count_pairs(np.array([[0, 1]]), np.array([[0, -1]]), 2)


def test_the_middle_square_is_cut_and_resized():
    label = np.zeros((4, 10), np.uint8)
    label[:, 3:7] = [[1], [2], [3], [4]]
    assert (middle_square(label, 4, labels=True) == label[:, 3:7]).all()
    assert (middle_square(label.T, 8, labels=True)[::2, ::2] == label[:, 3:7].T).all()
    image = np.repeat(label[..., None], 3, 2)
    assert middle_square(image, 12, labels=False).shape == (12, 12, 3)


@pytest.fixture
def data_set(tmp_path):
    """Stuff maps and a curated list of two of three images, as they come."""
    rng = np.random.default_rng(0)
    base = tmp_path / "coco2017"
    for number in (1, 2, 3):
        write_image(base / "val2017" / f"{number:012d}.jpg", rng.integers(0, 255, (20, 32, 3), dtype=np.uint8))
        maps = np.full((20, 32), 156, np.uint8)  # sky
        maps[10:], maps[0, 0], maps[12:15, 4:9] = 123, 255, 0  # grass, unlabelled, a person
        write_mask(tmp_path / "maps" / f"{number:012d}.png", maps)
    (tmp_path / "list.txt").write_text("000000000001\n000000000003\n")
    arguments = ["--maps", str(tmp_path / "maps"), "--list", str(tmp_path / "list.txt"), "--root", str(tmp_path)]
    assert prepare_stuff27.main([*arguments, "--workers", "1"]) == 0
    return tmp_path


def test_stuff_is_prepared_and_opened(data_set):
    names = [entry.name for entry in load_classes("stuff27")]
    assert len(names) == 27
    table = prepare_stuff27.lookup()
    assert sorted(set(table[: prepare_stuff27.FINE].tolist())) == list(range(27))
    assert (table[prepare_stuff27.FINE :] == 255).all()
    with pytest.warns(UserWarning, match=r"holds 2 images, the curated list has 2175"):
        items = open_items("stuff27", root=data_set)
    assert [item.name for item in items] == ["000000000001", "000000000003"]
    assert items[0].label is not None
    label = read_label(items[0].label, 27)
    assert [names[label[y, x]] for y, x in ((5, 5), (18, 5), (13, 5))] == ["sky", "plant", "person"]
    assert label[0, 0] == 255


def test_cityscapes_is_prepared_and_opened(tmp_path):
    base = tmp_path / "cityscapes"
    ids = np.array([[0, 6, 7, 8], [33, 34 - 1, 26, 255]], np.uint8)
    write_mask(base / "gtFine" / "val" / "ulm" / "ulm_000001_000019_gtFine_labelIds.png", ids)
    write_image(
        base / "leftImg8bit" / "val" / "ulm" / "ulm_000001_000019_leftImg8bit.png", np.zeros((2, 4, 3), np.uint8)
    )
    assert prepare_cityscapes27.main(["--root", str(tmp_path), "--workers", "1"]) == 0
    with pytest.warns(UserWarning, match=r"holds 1 images, val has 500"):
        (item,) = open_items("cityscapes27", root=tmp_path)
    assert item.label is not None
    assert read_label(item.label, 27).tolist() == [[255, 255, 0, 1], [26, 26, 19, 255]]
    names = [entry.name for entry in load_classes("cityscapes27")]
    assert [names[k] for k in (0, 1, 19, 26)] == ["road", "sidewalk", "car", "bicycle"]


@pytest.mark.filterwarnings("ignore:.*the curated list has 2175")
def test_a_run_scores_every_way_and_names_images_that_cannot_be_used(data_set, capsys):
    (data_set / "coco2017" / "val2017" / "000000000003.jpg").write_bytes(b"no image")
    content = {
        "model": "tiny",
        "device": "cpu",
        "data": {"kind": "stuff27", "classes": "stuff27", "root": str(data_set)},
        "regions": {"a": {"method": "ours"}, "b": {"method": "merge", "coarse": 0.3}},
        "side": 64,
        "out": str(data_set / "out"),
    }
    path = data_set / "run.yaml"
    path.write_text(yaml.safe_dump(content))
    assert main(["--config", str(path)]) == 1
    printed = capsys.readouterr().out
    assert "not comparable" in printed
    result = json.loads((data_set / "out" / "results.json").read_text())
    assert [each["name"] for each in result["ways"]] == ["a", "b"]
    assert result["images"] == 1
    assert list(result["failures"]) == ["000000000003"]
    assert all(0 <= each["miou"] <= 1 and 0 <= each["matched_once"]["miou"] <= 1 for each in result["ways"])
    assert result["ways"][1]["settings"]["coarse"] == 0.3
    path.write_text(yaml.safe_dump({**content, "regions": {"a": {"method": "x"}}}))
    assert main(["--config", str(path)]) == 2
    assert "regions 'a'" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["coco-stuff27", "cityscapes27", "demo"])
def test_every_configuration_is_read(name, tmp_path, capsys):
    """The missing data set is noticed after all settings have been."""
    arguments = ["--config", f"regions/{name}", "--data.root", str(tmp_path / "none"), "--data.truth", str(tmp_path)]
    assert main(arguments) == 2
    assert "none" in capsys.readouterr().err


def test_the_shell_entry_names_what_is_missing(tmp_path):
    environment = {**os.environ, "ISEG_DATASETS": str(tmp_path), "PYTHON": sys.executable}
    done = subprocess.run(
        ["sh", str(ROOT / "ovs" / "shell_regions.sh"), "cityscapes"], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 2
    assert "Cityscapes val is not complete" in done.stderr
