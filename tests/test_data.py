"""Data sets, classes and image-level labels on small trees of the true formats."""

import json
import warnings

import numpy as np
import pytest
from fake_data import make_2017, make_coco, make_voc, picture, save_picture
from PIL import Image

from iseg.data import datasets_root, open_items
from iseg.data.classes import load_classes
from iseg.data.items import Item
from iseg.data.labels import present, read_labels
from iseg.data.read import read_label, read_pair
from iseg.errors import InputError
from iseg.files.export import write_mask


def names(items):
    return [item.name for item in items]


def test_voc_splits_come_from_the_devkit(tmp_path):
    base = make_voc(tmp_path, [(1,), (2,), (3, 4), (5,), (20,)], {"train": range(2), "val": range(3, 5)})
    assert names(open_items("voc", "train", tmp_path)) == ["2007_000000", "2007_000001"]
    assert names(open_items("voc", "val", tmp_path)) == ["2007_000003", "2007_000004"]
    augmented = open_items("voc", "train_aug", tmp_path)
    assert names(augmented) == ["2007_000000", "2007_000001", "2007_000002"]
    assert augmented[2].image == base / "JPEGImages" / "2007_000002.jpg"
    image, label = read_pair(augmented[2], 21)
    assert label is not None
    assert image.shape == (*label.shape, 3)
    assert present(label) == [3, 4]


def test_voc_without_augmented_masks_takes_the_devkits_own(tmp_path):
    base = make_voc(tmp_path, [(1,), (2,)], {"val": range(2)}, masks="SegmentationClass")
    assert open_items("voc", "val", tmp_path)[0].label == base / "SegmentationClass" / "2007_000000.png"
    with pytest.raises(InputError, match=r"SegmentationClassAug/ +MISSING: made by scripts/prepare_voc_aug.py"):
        open_items("voc", "train_aug", tmp_path)


@pytest.mark.parametrize(
    ("kind", "split", "shown"),
    [
        ("voc", "train", ["JPEGImages/", "ImageSets/Segmentation/train.txt", "prepare_voc_aug", "no such folder"]),
        ("context", "val", ["JPEGImages/", "ImageSets/Main/val.txt", "prepare_context"]),
        ("coco", "train", ["train2014/COCO_train2014_*.jpg", "prepare_coco"]),
        ("coco", "object", ["instances_val2017.json or val2017/", "val2014"]),
    ],
)
def test_missing_tree_is_shown_with_what_was_found(tmp_path, kind, split, shown):
    with pytest.raises(InputError) as error:
        open_items(kind, split, tmp_path)
    assert all(text in str(error.value) for text in [*shown, "MISSING", str(tmp_path)])


def test_partly_missing_tree_marks_what_is_there(tmp_path):
    make_voc(tmp_path, [(1,)], {"train": range(1)})
    with pytest.raises(InputError, match=r"JPEGImages/ +found\n.*val.txt +MISSING"):
        open_items("voc", "val", tmp_path)


def test_context_reads_the_2010_list_and_warns_of_another_length(tmp_path):
    base = tmp_path / "VOCdevkit" / "VOC2010"
    save_picture(base / "JPEGImages" / "2008_000002.jpg", 1, (20, 30))
    write_mask(base / "SegmentationClassContext" / "2008_000002.png", np.ones((20, 30), np.uint8))
    (base / "ImageSets" / "Main").mkdir(parents=True)
    (base / "ImageSets" / "Main" / "val.txt").write_text("2008_000002\n")
    with pytest.warns(UserWarning, match=r"lists 1 images, the published split has 5105"):
        items = open_items("context", "val", tmp_path)
    assert items == [
        Item(
            "2008_000002",
            base / "JPEGImages" / "2008_000002.jpg",
            base / "SegmentationClassContext" / "2008_000002.png",
        )
    ]
    (base / "ImageSets" / "Main" / "val.txt").write_text("".join(f"2008_{n:06d}\n" for n in range(5105)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(open_items("context", "val", tmp_path)) == 5105


def test_coco_splits_and_ids(tmp_path):
    base = make_coco(tmp_path, "val2014", 3)
    items = open_items("coco", "val", tmp_path)
    assert names(items) == ["000000000009", "000000000018", "000000000027"]
    assert items[1].label == base / "coco_seg_anno" / "000000000018.png"
    make_2017(base, [27, 9])
    assert names(open_items("coco", "object", tmp_path)) == ["000000000009", "000000000027"]
    make_2017(base, [27, 36])
    with pytest.raises(InputError, match=r"lacks 1 of the 2 images of val2017, e.g. COCO_val2014_000000000036.jpg"):
        open_items("coco", "object", tmp_path)
    with pytest.raises(InputError, match=r"unknown COCO split 'test'"):
        open_items("coco", "test", tmp_path)


def test_coco_object_from_a_folder_of_images(tmp_path):
    base = make_coco(tmp_path, "val2014", 3)
    save_picture(base / "val2017" / "000000000018.jpg", 1, (20, 30))
    assert names(open_items("coco", "object", tmp_path)) == ["000000000018"]


def test_plain_folder(tmp_path):
    save_picture(tmp_path / "b.jpg", 1, (20, 30))
    save_picture(tmp_path / "a.png", 2, (20, 30))
    (tmp_path / "notes.txt").write_text("not an image")
    assert open_items("folder", root=tmp_path) == [Item("a", tmp_path / "a.png"), Item("b", tmp_path / "b.jpg")]
    assert open_items("folder", root=tmp_path, truth=str(tmp_path))[1].label == tmp_path / "b.png"
    save_picture(tmp_path / "b.png", 1, (20, 30))
    with pytest.raises(InputError, match=r"b.jpg and b.png would have the same mask"):
        open_items("folder", root=tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"holds no image"):
        open_items("folder", root=tmp_path / "empty")
    with pytest.raises(InputError, match=r"no such folder"):
        open_items("folder", root=tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"give data.root"):
        open_items("folder")


def test_datasets_root_order(monkeypatch, tmp_path):
    monkeypatch.delenv("ISEG_DATASETS", raising=False)
    assert str(datasets_root()) == "datasets"
    monkeypatch.setenv("ISEG_DATASETS", str(tmp_path))
    assert datasets_root() == tmp_path
    assert datasets_root(tmp_path / "x") == tmp_path / "x"


def test_unknown_kind():
    with pytest.raises(InputError, match=r"unknown data set kind 'cityscapes': expected one of voc, context"):
        open_items("cityscapes")


def test_stored_pixels_are_not_rotated_where_there_is_truth(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(picture(1, (20, 30))).save(tmp_path / "a.jpg", exif=exif)
    write_mask(tmp_path / "a.png", np.zeros((20, 30), np.uint8))
    assert read_pair(Item("a", tmp_path / "a.jpg", tmp_path / "a.png"), 21)[0].shape == (20, 30, 3)
    assert read_pair(Item("a", tmp_path / "a.jpg"), 21)[0].shape == (30, 20, 3)


def test_unusable_images_and_labels_are_named(tmp_path):
    save_picture(tmp_path / "a.jpg", 1, (20, 30))
    cut = tmp_path / "cut.jpg"
    cut.write_bytes((tmp_path / "a.jpg").read_bytes()[:300])
    label = tmp_path / "a.png"
    write_mask(label, np.zeros((20, 31), np.uint8))
    with pytest.raises(InputError, match=r"a.png: has 31x20 pixels, its image a.jpg has 30x20"):
        read_pair(Item("a", tmp_path / "a.jpg", label), 21)
    with pytest.raises(InputError, match=r"cut.jpg: the image is corrupt"):
        read_pair(Item("a", cut, label), 21)
    with pytest.raises(InputError, match=r"gone.jpg: no such image"):
        read_pair(Item("a", tmp_path / "gone.jpg", label), 21)
    with pytest.raises(InputError, match=r"gone.png: no such image file"):
        read_label(tmp_path / "gone.png", 21)
    with pytest.raises(InputError, match=r"a.jpg: is a RGB picture: expected an indexed or grey PNG"):
        read_label(tmp_path / "a.jpg", 21)
    write_mask(label, np.full((20, 30), 21, np.uint8))
    with pytest.raises(InputError, match=r"a.png: holds label 21: expected 0..20 or 255"):
        read_label(label, 21)
    label.write_bytes(label.read_bytes()[:60])
    with pytest.raises(InputError, match=r"a.png: the image is corrupt"):
        read_label(label, 21)


def test_shipped_classes():
    voc, coco, context = (load_classes(name) for name in ("voc20", "coco80", "context59"))
    assert [len(voc), len(coco), len(context)] == [20, 80, 59]
    assert [entry.id for entry in coco] == list(range(1, 81))
    by_name = {entry.name: entry.word for entry in voc}
    assert (by_name["pottedplant"].word, by_name["pottedplant"].focus) == ("potted plant", "plant")
    assert (by_name["tvmonitor"].word, by_name["tvmonitor"].focus) == ("tv monitor", "monitor")
    assert (by_name["diningtable"].word, by_name["diningtable"].focus) == ("dining table", None)
    focused = {entry.word.word: entry.word.focus for entry in coco if entry.word.focus}
    assert focused == {
        "traffic light": "light",
        "fire hydrant": "hydrant",
        "baseball bat": "bat",
        "baseball glove": "glove",
        "tennis racket": "racket",
        "wine glass": "glass",
        "potted plant": "plant",
        "tv monitor": "monitor",
    }
    assert (coco[10].name, coco[11].name, coco[79].name) == ("fire hydrant", "stop sign", "toothbrush")
    assert {entry.name: entry.word.word for entry in context}["computer"] == "laptop"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("names: [cat]", "expected a list 'classes:'"),
        ("classes: []", "expected a list 'classes:'"),
        ("classes: [cat, cat]", "class 'cat' is listed twice"),
        ("classes: [cat, 3]", "class 2 is 3: expected a name"),
        ("classes: [{name: cat, words: feline}]", "class 1 has unknown key 'words'"),
        ("classes: [{word: cat}]", "class 1 has no key 'name'"),
        ("classes: [{name: tv, focus: monitor}]", "focus 'monitor' is not a part of 'tv'"),
        ("classes: [cat", "not readable as YAML"),
    ],
)
def test_bad_class_files_are_named(tmp_path, text, message):
    path = tmp_path / "classes.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        load_classes(path)
    assert message in str(error.value)
    assert str(path) in str(error.value)


def test_labels_from_json_and_csv_agree(tmp_path):
    classes = load_classes("voc20")
    plain, scored, table = tmp_path / "a.json", tmp_path / "b.json", tmp_path / "c.csv"
    plain.write_text(json.dumps({"2007_000001.jpg": ["dog", "tv monitor"], "2007_000002": []}))
    scored.write_text(json.dumps({"2007_000001": {"tvmonitor": 0.9, "dog": 0.8}, "2007_000002": {}}))
    table.write_text("name,labels\n2007_000001,dog; tvmonitor\n2007_000002,\n")
    expected = {"2007_000001": [12, 20], "2007_000002": []}
    assert read_labels(plain, classes) == read_labels(scored, classes) == read_labels(table, classes) == expected


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("a.json", '{"x": ["unicorn"]}', "image 'x' has unknown class 'unicorn': expected one of aeroplane"),
        ("a.json", '["x"]', "expected an object"),
        ("a.json", '{"x": "dog"}', "image 'x' has 'dog': expected a list of class names"),
        ("a.json", '{"x": [1]}', "expected a list of class names"),
        ("a.json", "{", "not readable as image-level labels"),
        ("a.csv", "image,classes\nx,dog\n", "header is 'image,classes': expected name,labels"),
        ("a.csv", "name,labels\nx,dog,cat\n", "line 2 has 3 columns"),
        ("a.csv", "", "header is ''"),
        ("a.txt", "x dog", "expected a .json or .csv file"),
        ("gone.json", None, "not readable as image-level labels"),
    ],
)
def test_bad_label_files_are_named(tmp_path, file, text, message):
    path = tmp_path / file
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError) as error:
        read_labels(path, load_classes("voc20"))
    assert message in str(error.value)
    assert str(path) in str(error.value)
