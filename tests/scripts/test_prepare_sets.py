"""COCO-Stuff-171, ADE20k and Cityscapes-19: from the published layout to items and labels."""

import numpy as np
import pytest
from fake_data import make_ade, make_cityscapes, make_context, make_stuff, make_voc
from PIL import Image

from iseg.data import open_items
from iseg.data.classes import load_classes
from iseg.data.read import read_pair, read_truth
from iseg.errors import InputError
from iseg.evaluate.score import score_masks
from iseg.files.export import write_mask
from scripts import prepare_cityscapes19, prepare_stuff171


def names(kind):
    return [None, *(entry.name for entry in load_classes(kind))]


def found(item, kind):
    """Names of the classes in an item's truth."""
    _, label = read_pair(item, len(names(kind)))
    assert label is not None
    return {names(kind)[value] for value in np.unique(label) if value != 255}


def test_stuff_labels_are_those_of_coco_less_the_unused_categories(tmp_path, capsys):
    # COCO categories person 1, toothbrush 90, banner 92, wood 182, and street sign 12, which nobody annotated
    maps = make_stuff(tmp_path, [(0, 89), (91, 181), (11, 12)])
    arguments = ["--maps", str(maps), "--root", str(tmp_path), "--workers", "1"]
    assert prepare_stuff171.main(arguments) == 0
    with pytest.warns(UserWarning, match="holds 3 images, val2017 has 5000"):
        items = open_items("stuff171", root=tmp_path)
    assert [found(item, "stuff171") for item in items] == [
        {"person", "toothbrush"},
        {"banner", "wood"},
        {"stop sign"},
    ]
    Image.new("L", (5, 4), 182).save(maps / "000000000009.png")
    assert prepare_stuff171.main(arguments) == 1
    printed = capsys.readouterr()
    assert "3 of 4 are there already" in printed.out
    assert "holds label 182: expected 0..181 or 255" in printed.err


def test_every_stuff_class_has_one_label():
    table = prepare_stuff171.lookup()
    labels = table[table != 255]
    assert labels.tolist() == list(range(1, 172))
    assert (table[182:] == 255).all()
    assert names("stuff171")[1:81] == names("coco80")[1:]


def test_cityscapes_train_ids_are_shifted_by_one(tmp_path):
    make_cityscapes(tmp_path, [(7, 33), (9, 19), (10, 31)])  # road, bicycle; parking, traffic light; rail track, train
    assert prepare_cityscapes19.main(["--root", str(tmp_path), "--workers", "1"]) == 0
    with pytest.warns(UserWarning, match="holds 3 images, val has 500"):
        items = open_items("cityscapes19", root=tmp_path)
    assert [found(item, "cityscapes19") for item in items] == [{"road", "bicycle"}, {"traffic light"}, {"train"}]
    # the 19 are a choice of the 27, in their order
    fine = dict(zip(range(7, 34), names("cityscapes27")[1:], strict=True))
    assert [fine[index] for index in prepare_cityscapes19.IDS] == names("cityscapes19")[1:]


def test_ade_is_read_as_it_comes_and_its_0_is_ignored(tmp_path):
    make_ade(tmp_path, [(1, 150), (13,)])
    with pytest.warns(UserWarning, match="holds 2 images, val has 2000"):
        items = open_items("ade150", root=tmp_path)
    assert [item.name for item in items] == ["ADE_val_00000001", "ADE_val_00000002"]
    assert [found(item, "ade150") for item in items] == [{"wall", "flag"}, {"person"}]


@pytest.mark.parametrize(("kind", "count"), [("stuff171", 171), ("ade150", 150), ("cityscapes19", 19)])
def test_classes_are_told_apart(kind, count):
    assert len(set(names(kind)[1:])) == count


def test_without_background_0_in_a_mask_is_a_miss_and_0_in_the_truth_nothing(tmp_path):
    make_voc(tmp_path, [(3,)], {"val": range(1)})
    (counted,) = open_items("voc", "val", tmp_path)
    (ignored,) = open_items("voc", "val", tmp_path, background=False)
    truth = read_truth(counted, 21)
    assert set(np.unique(truth)) == {0, 3, 255}
    assert ((read_truth(ignored, 21) == 255) == (truth != 3)).all()
    mask = np.full(truth.shape, 3, np.uint8)  # everywhere, but for a quarter of the object
    rows, columns = np.nonzero(truth == 3)
    quarter = len(rows) // 4
    mask[rows[:quarter], columns[:quarter]] = 0
    write_mask(tmp_path / "masks" / f"{ignored.name}.png", mask)
    score = score_masks(tmp_path / "masks", [ignored], 21)
    assert score.confusion.mean_iou() == pytest.approx(1 - quarter / len(rows))
    assert score_masks(tmp_path / "masks", [counted], 21).confusion.mean_iou() < 0.5


@pytest.mark.filterwarnings("ignore:.*the published split has")
def test_context_with_and_without_background(tmp_path):
    make_context(tmp_path, [(1, 59)])
    (whole,), (without,) = (open_items("context", "val", tmp_path, background=flag) for flag in (True, False))
    assert found(whole, "context59") == {None, "aeroplane", "wood"}
    assert found(without, "context59") == {"aeroplane", "wood"}


@pytest.mark.parametrize(
    ("kind", "shown"),
    [
        ("stuff171", ["val2017.zip", "made by scripts/prepare_stuff171.py"]),
        ("ade150", ["images/validation/ADE_val_*.jpg", "ADEChallengeData2016.zip"]),
        ("cityscapes19", ["leftImg8bit_trainvaltest.zip", "made by scripts/prepare_cityscapes19.py"]),
    ],
)
def test_what_is_missing_is_said(tmp_path, kind, shown):
    with pytest.raises(InputError) as error:
        open_items(kind, root=tmp_path)
    assert all(text in str(error.value) for text in ["MISSING", str(tmp_path), *shown])


def test_sources_that_are_missing_are_one_line(tmp_path):
    with pytest.raises(InputError, match="holds no PNG: expected the maps of COCO-Stuff's val2017"):
        prepare_stuff171.main(["--maps", str(tmp_path), "--root", str(tmp_path)])
    with pytest.raises(InputError, match=r"MISSING: from cityscapes-dataset\.com"):
        prepare_cityscapes19.main(["--root", str(tmp_path)])
