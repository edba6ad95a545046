"""The data sets of interactive segmentation, each on a few images in its true format."""

from pathlib import Path

import numpy as np
import pytest
from fake_data import picture, save_picture
from PIL import Image
from scipy.io import savemat

from iseg.errors import InputError
from iseg.files.export import write_mask
from iseg.noc.objects import find_images, read_objects

SIZE = (30, 44)


def squares(*values: int) -> np.ndarray:
    """(H, W) uint8: beside each other a box of each value on 0."""
    label = np.zeros(SIZE, np.uint8)
    for k, value in enumerate(values):
        label[5:20, 2 + 10 * k : 10 + 10 * k] = value
    return label


def save(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def only(kind: str, root: Path, protocol="ritm", masks=None):
    """The objects of the only image of a set."""
    (item,) = find_images(kind, root, masks, protocol)
    image, truths = read_objects(kind, item, protocol)
    assert image.shape == (*SIZE, 3)
    return item, truths


@pytest.mark.parametrize(
    ("kind", "images", "masks", "ending"),
    [("grabcut", "data_GT", "boundary_GT", "bmp"), ("berkeley", "images", "masks", "png")],
)
def test_grabcut_and_berkeley(tmp_path, kind, images, masks, ending):
    save_picture(tmp_path / images / "banana1.JPG", 1, SIZE)
    (tmp_path / images / "Thumbs.db").write_bytes(b"no image")
    save(tmp_path / masks / f"banana1.{ending}", squares(255, 128, 64))
    item, truths = only(kind, tmp_path)
    assert (item.name, list(truths)) == ("banana1", [1])
    assert np.array_equal(truths[1].region, squares(1) > 0)
    assert np.array_equal(truths[1].ignored, squares(0, 1) > 0)
    _, truths = only(kind, tmp_path, "m2n2")
    assert np.array_equal(truths[1].region, squares(1, 1) > 0)
    assert not truths[1].ignored.any()


def test_davis(tmp_path):
    save_picture(tmp_path / "img" / "bear_3.jpg", 2, SIZE)
    save(tmp_path / "gt" / "bear_3.png", np.stack([squares(0), squares(128), squares(0, 0, 3)], -1))
    _, truths = only("davis", tmp_path)
    assert np.array_equal(truths[1].region, squares(1, 0, 1) > 0)


def test_sbd(tmp_path):
    (tmp_path / "val.txt").write_text("2008_000002\n")
    save_picture(tmp_path / "img" / "2008_000002.jpg", 3, SIZE)
    for folder, key, labels in (("inst", "GTinst", squares(1, 2, 3)), ("cls", "GTcls", squares(7, 7, 15))):
        (tmp_path / folder).mkdir()
        content = {"Segmentation": labels, "Categories": np.array([[7], [7], [15]], np.uint8)}
        savemat(tmp_path / folder / "2008_000002.mat", {key: content})
    _, truths = only("sbd", tmp_path)
    assert {k: np.array_equal(t.region, squares(1, 2, 3) == k) for k, t in truths.items()} == {
        1: True,
        2: True,
        3: True,
    }
    _, truths = only("sbd", tmp_path, "m2n2")
    assert sorted(truths) == [7, 15]
    (tmp_path / "inst" / "2008_000002.mat").write_bytes(b"MATLAB 5.0 MAT-file, cut off")
    with pytest.raises(InputError, match=r"2008_000002\.mat: not readable as a \.mat file with GTinst"):
        only("sbd", tmp_path)


@pytest.mark.parametrize("below", ["", "VOCdevkit/VOC2012"])
def test_voc_by_palette_indices(tmp_path, below):
    base = tmp_path / below
    save_picture(base / "JPEGImages" / "2007_000033.jpg", 4, SIZE)
    labels = squares(1, 16, 255)  # 1 and 16 have the same grey value in VOC's palette
    write_mask(base / "SegmentationObject" / "2007_000033.png", labels)
    (base / "ImageSets" / "Segmentation").mkdir(parents=True)
    (base / "ImageSets" / "Segmentation" / "val.txt").write_text("2007_000033\n")
    _, truths = only("voc", tmp_path)
    assert sorted(truths) == [1, 16]
    assert np.array_equal(truths[16].region, labels == 16)
    assert np.array_equal(truths[1].ignored, labels == 255)


def test_folder(tmp_path):
    save_picture(tmp_path / "images" / "a.jpg", 5, SIZE)
    save(tmp_path / "masks" / "a.png", squares(3, 9))
    assert list(only("folder", tmp_path)[1]) == [3, 9]
    assert list(only("folder", tmp_path / "images", masks=tmp_path / "masks")[1]) == [3, 9]


def test_pieces_of_class_labels(tmp_path):
    save_picture(tmp_path / "images" / "a.jpg", 5, SIZE)
    labels = squares(3, 9, 3, 255)
    labels[25:27, 3:7] = 9  # 8 of 1320 pixels
    labels[20, 10], labels[4, 10] = 3, 9  # one touches the first square at a corner, one no square
    save(tmp_path / "masks" / "a.png", labels)
    (item,) = find_images("folder", tmp_path, None, "ritm")
    _, truths = read_objects("folder", item, "ritm", pieces=0.02)
    expected = [squares(3) > 0, squares(0, 0, 3) > 0, squares(0, 9) > 0]
    expected[0][20, 10] = True
    assert list(truths) == [1, 2, 3]
    for truth, region in zip(truths.values(), expected, strict=True):
        assert np.array_equal(truth.region, region)
        assert np.array_equal(truth.ignored, labels == 255)
    assert read_objects("folder", item, "ritm", pieces=0.9)[1] == {}


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        (squares(0), "shows no object"),
        (squares(255), "shows no object"),
        (picture(1, SIZE), "expected an indexed or grey PNG"),
        (squares(1)[:, 1:], "has 43x30 pixels, its image a.jpg has 44x30"),
    ],
)
def test_a_mask_that_cannot_be_used(tmp_path, mask, said):
    save_picture(tmp_path / "images" / "a.jpg", 5, SIZE)
    save(tmp_path / "masks" / "a.png", mask)
    with pytest.raises(InputError, match=said):
        only("folder", tmp_path)


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(InputError, match=r"boundary_GT/ +MISSING"):
        find_images("grabcut", tmp_path, None, "ritm")
    save_picture(tmp_path / "images" / "a.jpg", 5, SIZE)
    save(tmp_path / "masks" / "b.png", squares(1))
    with pytest.raises(InputError, match=r"a\.jpg: has no mask in .*masks"):
        find_images("folder", tmp_path, None, "ritm")
    with pytest.raises(InputError, match="expected it with folder alone"):
        find_images("davis", tmp_path, tmp_path, "ritm")
    save(tmp_path / "masks" / "b.bmp", squares(1))
    with pytest.raises(InputError, match=r"b\.bmp and b\.png have one name"):
        find_images("berkeley", tmp_path, None, "ritm")
