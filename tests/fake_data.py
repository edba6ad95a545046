"""Small data sets in the true formats: palette PNG, COCO polygons and RLE, MATLAB files."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.io import savemat

from iseg.data.classes import load_classes
from iseg.files.export import write_mask

SIZES = ((40, 60), (60, 40), (48, 48), (33, 71))  # (H, W)


def picture(seed: int, size: tuple[int, int]) -> np.ndarray:
    """Smooth colours (H, W, 3) uint8 that differ from seed to seed."""
    rows, columns = np.mgrid[: size[0], : size[1]] / max(size)
    waves = [np.sin(6 * (rows * (seed + k) + columns * (seed % 3 + k)) + k) for k in range(3)]
    return (127 + 120 * np.stack(waves, -1)).astype(np.uint8)


def labels(seed: int, size: tuple[int, int], ids: tuple[int, ...]) -> np.ndarray:
    """(H, W) labels: a box per id on background, with a line of 255 below each."""
    label = np.zeros(size, np.uint8)
    width = size[1] // max(len(ids), 1)
    for k, index in enumerate(ids):
        top = 4 + (seed + 3 * k) % 8
        label[top : top + size[0] // 2, k * width + 2 : (k + 1) * width - 2] = index
        label[top + size[0] // 2, k * width + 2 : (k + 1) * width - 2] = 255
    return label


def save_picture(path: Path, seed: int, size: tuple[int, int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture(seed, size)).save(path, quality=92)


def make_voc(
    root: Path, ids: list[tuple[int, ...]], splits: dict[str, range], masks: str = "SegmentationClassAug"
) -> Path:
    """VOC2012 with one image per entry of `ids` (classes of its mask); returns the VOC2012 folder."""
    base = root / "VOCdevkit" / "VOC2012"
    (base / "ImageSets" / "Segmentation").mkdir(parents=True)
    for number, classes in enumerate(ids):
        size = SIZES[number % len(SIZES)]
        save_picture(base / "JPEGImages" / f"2007_{number:06d}.jpg", number, size)
        write_mask(base / masks / f"2007_{number:06d}.png", labels(number, size, classes))
    for split, numbers in splits.items():
        text = "".join(f"2007_{number:06d}\n" for number in numbers)
        (base / "ImageSets" / "Segmentation" / f"{split}.txt").write_text(text)
    return base


def fake_run(root: Path, ids: list[tuple[int, ...]]) -> dict[str, Any]:
    """Settings of a run of the model "fake" over a VOC train split that is made below `root`; see `make_voc`."""
    make_voc(root, ids, {"train": range(len(ids))})
    return {
        "model": "fake",
        "device": "cpu",
        "data": {"kind": "voc", "split": "train", "root": str(root)},
        "recipe": {"iterations": 3, "entropy": 0.05, "background": "power", "cluster_stride": 5},
    }


def coco_annotations() -> dict:
    """An instances JSON: ids 1..90 with gaps, polygons, uncompressed RLE crowd, an image without annotation."""
    box = [[5.0, 5.0, 25.0, 5.0, 25.0, 20.0, 5.0, 20.0]]
    later = [[15.0, 10.0, 35.0, 10.0, 35.0, 30.0, 15.0, 30.0], [40.0, 2.0, 50.0, 2.0, 45.0, 12.0]]
    crowd = np.zeros((40, 60), np.uint8)
    crowd[30:38, 40:58] = 1
    return {
        "images": [
            {"id": 9, "height": 40, "width": 60, "file_name": "COCO_train2014_000000000009.jpg"},
            {"id": 25, "height": 60, "width": 40, "file_name": "COCO_train2014_000000000025.jpg"},
        ],
        "categories": [{"id": i, "name": f"c{i}"} for i in (90, 1, 2, 13)],
        "annotations": [
            {"id": 1, "image_id": 9, "category_id": 1, "iscrowd": 0, "segmentation": box},
            {"id": 2, "image_id": 9, "category_id": 90, "iscrowd": 0, "segmentation": later},
            {"id": 3, "image_id": 9, "category_id": 1, "iscrowd": 1, "segmentation": uncompressed(crowd)},
        ],
    }


def uncompressed(mask: np.ndarray) -> dict:
    """(H, W) 0/1 as the uncompressed RLE of crowd annotations: run lengths down the columns, zeros first."""
    runs, value, run = [], 0, 0
    for pixel in mask.T.flatten():
        if pixel != value:
            runs.append(run)
            value, run = pixel, 0
        run += 1
    return {"counts": [*runs, run], "size": list(mask.shape)}


def make_coco(root: Path, split: str, count: int = 3) -> Path:
    """train2014 or val2014 with `count` images (ids 9, 18, ...) and their label PNGs; returns coco2014."""
    base = root / "coco2014"
    for number in range(1, count + 1):
        size = SIZES[number % len(SIZES)]
        save_picture(base / split / f"COCO_{split}_{9 * number:012d}.jpg", number, size)
        write_mask(base / "coco_seg_anno" / f"{9 * number:012d}.png", labels(number, size, (number,)))
    return base


def make_2017(base: Path, ids: list[int]) -> None:
    """annotations/instances_val2017.json with nothing but image ids."""
    (base / "annotations").mkdir(parents=True, exist_ok=True)
    (base / "annotations" / "instances_val2017.json").write_text(json.dumps({"images": [{"id": i} for i in ids]}))


def make_context_source(folder: Path) -> tuple[Path, dict[str, int]]:
    """A folder of .mat files with 459 labels and labels.txt beside it; returns the folder and the label numbers."""
    names = [f"thing {k}" for k in range(400)] + [entry.name for entry in load_classes("context59")]
    numbers = {name: number for number, name in enumerate(sorted(names), 1)}
    (folder / "trainval").mkdir(parents=True)
    (folder / "labels.txt").write_text("".join(f"{number}: {name}\n" for name, number in numbers.items()))
    label = np.full((20, 30), numbers["thing 7"], np.uint16)
    label[:10, :15], label[10:, 15:], label[0, 0] = numbers["sky"], numbers["bedclothes"], numbers["aeroplane"]
    savemat(folder / "trainval" / "2008_000002.mat", {"LabelMap": label}, do_compression=True)
    return folder / "trainval", numbers


def make_sbd(folder: Path, masks: dict[str, np.ndarray]) -> Path:
    """benchmark_RELEASE with dataset/cls/NAME.mat: the struct GTcls as it comes."""
    (folder / "dataset" / "cls").mkdir(parents=True)
    for name, mask in masks.items():
        struct = {"Boundaries": np.empty((20, 1), object), "Segmentation": mask, "CategoriesPresent": np.unique(mask)}
        struct["Boundaries"][:] = np.zeros((1, 1))
        savemat(folder / "dataset" / "cls" / f"{name}.mat", {"GTcls": struct})
    return folder


def make_context(root: Path, ids: list[tuple[int, ...]]) -> None:
    """VOC2010 with the prepared masks of PASCAL Context and Main/val.txt; classes of each mask as given."""
    base = root / "VOCdevkit" / "VOC2010"
    (base / "ImageSets" / "Main").mkdir(parents=True)
    names = [f"2008_{number:06d}" for number in range(len(ids))]
    (base / "ImageSets" / "Main" / "val.txt").write_text("".join(f"{name}\n" for name in names))
    for number, name in enumerate(names):
        size = SIZES[number % len(SIZES)]
        save_picture(base / "JPEGImages" / f"{name}.jpg", number, size)
        write_mask(base / "SegmentationClassContext" / f"{name}.png", labels(number, size, ids[number]))


def make_ade(root: Path, ids: list[tuple[int, ...]]) -> Path:
    """ADEChallengeData2016 with grey annotations as they come (0 = none of the 150); returns its folder."""
    base = root / "ADEChallengeData2016"
    (base / "annotations" / "validation").mkdir(parents=True)
    for number, classes in enumerate(ids):
        size, name = SIZES[number % len(SIZES)], f"ADE_val_{number + 1:08d}"
        save_picture(base / "images" / "validation" / f"{name}.jpg", number, size)
        label = labels(number, size, classes)
        Image.fromarray(np.where(label == 255, 0, label).astype(np.uint8)).save(
            base / "annotations" / "validation" / f"{name}.png"
        )
    return base


def make_cityscapes(root: Path, ids: list[tuple[int, ...]]) -> Path:
    """leftImg8bit and gtFine of val with label ids as they come (0 = unlabelled); returns the cityscapes folder."""
    base = root / "cityscapes"
    for number, classes in enumerate(ids):
        size, name = SIZES[number % len(SIZES)], f"ulm/ulm_{number:06d}_000019"
        save_picture(base / "leftImg8bit" / "val" / f"{name}_leftImg8bit.png", number, size)
        path = base / "gtFine" / "val" / f"{name}_gtFine_labelIds.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        label = labels(number, size, classes)
        Image.fromarray(np.where(label == 255, 0, label).astype(np.uint8)).save(path)
    return base


def make_stuff(root: Path, fine: list[tuple[int, ...]]) -> Path:
    """Images of COCO val2017 and stuffthingmaps (grey, labels 0..181 as given, 255 = unlabelled); returns the maps."""
    maps = root / "stuffthingmaps" / "val2017"
    maps.mkdir(parents=True)
    for number, classes in enumerate(fine):
        size, name = SIZES[number % len(SIZES)], f"{number + 1:012d}"
        save_picture(root / "coco2017" / "val2017" / f"{name}.jpg", number, size)
        label = labels(number, size, tuple(index + 1 for index in classes)).astype(int)
        Image.fromarray(np.where((label == 0) | (label == 255), 255, label - 1).astype(np.uint8)).save(
            maps / f"{name}.png"
        )
    return maps
