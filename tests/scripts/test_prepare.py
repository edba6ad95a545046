"""The prepare scripts on small files of the true formats."""

import json

import numpy as np
import pytest
from fake_data import coco_annotations, make_context_source, make_sbd, uncompressed
from PIL import Image
from pycocotools import mask as coco_mask

from iseg.errors import InputError
from iseg.files.export import write_mask
from scripts import prepare_coco, prepare_context, prepare_voc_aug

# pycocotools' decode under numpy 2; nothing a caller can change
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def read(path):
    with Image.open(path) as image:
        assert image.mode == "P"
        return np.asarray(image)


@pytest.fixture
def coco_root(tmp_path):
    folder = tmp_path / "coco2014" / "annotations"
    folder.mkdir(parents=True)
    (folder / "instances_train2014.json").write_text(json.dumps(coco_annotations()))
    return tmp_path


def annotations(root):
    return str(root / "coco2014" / "annotations" / "instances_train2014.json")


def test_coco_paints_in_file_order(coco_root):
    code = prepare_coco.main(["--root", str(coco_root), "--annotations", annotations(coco_root), "--workers", "1"])
    assert code == 0
    label = read(coco_root / "coco2014" / "coco_seg_anno" / "000000000009.png")
    assert label.shape == (40, 60)
    assert label[7, 7] == 1  # category 1 is the first of 1, 2, 13, 90
    assert label[15, 20] == 4  # where both are, the later one
    assert label[5, 45] == 4  # second polygon of the same annotation
    assert (label[31:37, 41:57] == 255).all()
    assert set(np.unique(label)) == {0, 1, 4, 255}
    empty = read(coco_root / "coco2014" / "coco_seg_anno" / "000000000025.png")
    assert empty.shape == (60, 40)
    assert not empty.any()


def test_coco_resumes_and_names_bad_annotations(coco_root, capsys):
    content = coco_annotations()
    content["annotations"][2]["segmentation"]["size"] = [60, 40]
    path = coco_root / "bad.json"
    path.write_text(json.dumps(content))
    arguments = ["--root", str(coco_root), "--annotations"]
    assert prepare_coco.main([*arguments, str(path)]) == 1
    assert "000000000009: an RLE has size [60, 40]: expected [40, 60]" in capsys.readouterr().err
    out = coco_root / "coco2014" / "coco_seg_anno"
    assert [path.name for path in out.iterdir()] == ["000000000025.png"]
    before = (out / "000000000025.png").stat().st_mtime_ns
    assert prepare_coco.main([*arguments, annotations(coco_root)]) == 0
    assert "1 of 2 are there already" in capsys.readouterr().out
    assert (out / "000000000025.png").stat().st_mtime_ns == before
    assert (out / "000000000009.png").is_file()


def test_several_processes_make_the_same_as_one(tmp_path):
    base = tmp_path / "VOCdevkit" / "VOC2012"
    write_mask(base / "SegmentationClass" / "2007_000001.png", np.ones((5, 7), np.uint8))
    masks = {f"2008_{number:06d}": np.full((6, 4), number % 21, np.uint8) for number in range(40)}
    source = make_sbd(tmp_path / "sbd", masks)
    assert prepare_voc_aug.main(["--sbd", str(source), "--root", str(tmp_path), "--workers", "2"]) == 0
    assert len(list((base / "SegmentationClassAug").iterdir())) == 41
    for name, mask in masks.items():
        assert (read(base / "SegmentationClassAug" / f"{name}.png") == mask).all()


def test_decode_agrees_for_all_forms_of_one_region():
    region = np.zeros((20, 31), np.uint8)
    region[4:12, 6:25] = 1
    compressed = coco_mask.encode(np.asfortranarray(region))
    text = {"size": compressed["size"], "counts": compressed["counts"].decode()}
    polygon = [[6.0, 4.0, 25.0, 4.0, 25.0, 12.0, 6.0, 12.0]]
    for segmentation in (compressed, text, uncompressed(region), polygon, [*polygon, [1.0, 2.0, 3.0, 4.0]]):
        assert (prepare_coco.decode(segmentation, 20, 31) == region.astype(bool)).all()
    assert not prepare_coco.decode([], 20, 31).any()
    with pytest.raises(InputError, match=r"segmentation is a str"):
        prepare_coco.decode("x", 20, 31)


@pytest.mark.parametrize("text", ["{", "[]", '{"images": []}', '{"images": [{}], "categories": [], "annotations": []}'])
def test_coco_file_that_is_none(coco_root, text):
    path = coco_root / "x.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"x.json: not readable as COCO instance annotations"):
        prepare_coco.main(["--root", str(coco_root), "--annotations", str(path)])


def test_coco_file_missing(tmp_path):
    with pytest.raises(InputError, match=r"instances_train2014.json: no such file"):
        prepare_coco.main(["--root", str(tmp_path)])


def test_context_maps_by_name(tmp_path):
    folder, _ = make_context_source(tmp_path / "source")
    assert prepare_context.main(["--mat", str(folder), "--root", str(tmp_path), "--workers", "1"]) == 0
    label = read(tmp_path / "VOCdevkit" / "VOC2010" / "SegmentationClassContext" / "2008_000002.png")
    assert label.shape == (20, 30)
    assert (label[0, 0], label[5, 5], label[15, 20], label[5, 20]) == (1, 50, 52, 0)  # plane, sky, bedding, other


def test_context_names_what_is_wrong(tmp_path, capsys):
    folder, _ = make_context_source(tmp_path / "source")
    (folder / "2008_000003.mat").write_bytes(b"not a MATLAB file")
    assert prepare_context.main(["--mat", str(folder), "--root", str(tmp_path), "--workers", "1"]) == 1
    assert "2008_000003.mat: not readable as a .mat file" in capsys.readouterr().err
    labels = tmp_path / "labels.txt"
    labels.write_text("1: sky\n")
    with pytest.raises(InputError, match=r"labels.txt: has no label aeroplane, bicycle"):
        prepare_context.main(["--mat", str(folder), "--labels", str(labels)])
    labels.write_text("sky\n")
    with pytest.raises(InputError, match=r"not readable as lines 'number: name'"):
        prepare_context.lookup(labels)
    with pytest.raises(InputError, match=r"holds no .mat file"):
        prepare_context.main(["--mat", str(tmp_path)])


def test_voc_aug_prefers_the_devkits_masks(tmp_path):
    base = tmp_path / "VOCdevkit" / "VOC2012"
    own = np.zeros((20, 30), np.uint8)
    own[2:9, 3:20], own[9] = 15, 255
    write_mask(base / "SegmentationClass" / "2007_000001.png", own)
    sbd = np.zeros((24, 18), np.uint8)
    sbd[4:, 5:] = 8
    source = make_sbd(
        tmp_path / "benchmark_RELEASE", {"2007_000001": np.full((20, 30), 3, np.uint8), "2008_000009": sbd}
    )
    assert prepare_voc_aug.main(["--sbd", str(source), "--root", str(tmp_path), "--workers", "1"]) == 0
    assert (read(base / "SegmentationClassAug" / "2007_000001.png") == own).all()
    assert (read(base / "SegmentationClassAug" / "2008_000009.png") == sbd).all()


def test_voc_aug_names_what_is_wrong(tmp_path, capsys):
    with pytest.raises(InputError, match=r"SegmentationClass/\*.png +MISSING"):
        prepare_voc_aug.main(["--sbd", str(tmp_path), "--root", str(tmp_path)])
    write_mask(tmp_path / "VOCdevkit" / "VOC2012" / "SegmentationClass" / "a.png", np.zeros((4, 5), np.uint8))
    with pytest.raises(InputError, match=r"SBD is not complete"):
        prepare_voc_aug.main(["--sbd", str(tmp_path), "--root", str(tmp_path)])
    source = make_sbd(tmp_path / "sbd", {"b": np.full((4, 5), 21, np.uint8)})
    (source / "dataset" / "cls" / "c.mat").write_bytes(b"")
    assert prepare_voc_aug.main(["--sbd", str(source), "--root", str(tmp_path), "--workers", "1"]) == 1
    error = capsys.readouterr().err
    assert "holds 21: expected (H, W) with 0..20" in error
    assert "c.mat: not readable as a .mat file" in error
