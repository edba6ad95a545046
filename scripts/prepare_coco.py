"""COCO instance annotations -> label PNGs: 0 background, 1..80 in category order, 255 crowd.

    python -m scripts.prepare_coco [--root datasets] [--annotations FILE ...] [--workers N]

Annotations are painted in the order of the file, later over earlier. A second start makes what is missing.
"""

import argparse
import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from iseg.data import datasets_root
from iseg.data.items import IGNORE
from iseg.errors import InputError
from scripts.prepare import convert_all, run

FILES = ("instances_train2014.json", "instances_val2014.json")
MIN_NUMBERS = 6  # of a polygon: three corners


@dataclass(frozen=True)
class Annotated:
    """An image's size in pixels and its (label, segmentation) pairs in the order of the file."""

    height: int
    width: int
    segments: tuple[tuple[int, Any], ...]


def decode(segmentation: Any, height: int, width: int) -> NDArray[np.bool_]:
    """Polygons, uncompressed or compressed RLE -> (H, W). Raises InputError for anything else and another size."""
    if isinstance(segmentation, dict):
        if list(segmentation.get("size", ())) != [height, width]:
            raise InputError(f"an RLE has size {segmentation.get('size')}: expected [{height}, {width}]")
        whole = segmentation
        if isinstance(segmentation.get("counts"), list):
            whole = coco_mask.frPyObjects(segmentation, height, width)
        return coco_mask.decode(whole).astype(bool)
    if not isinstance(segmentation, list):
        raise InputError(f"a segmentation is a {type(segmentation).__name__}: expected polygons or an RLE")
    # shorter lists have no area, and pycocotools would take four numbers for a box
    polygons = [polygon for polygon in segmentation if len(polygon) >= MIN_NUMBERS]
    if not polygons:
        return np.zeros((height, width), bool)
    return coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(polygons, height, width))).astype(bool)


def paint(image: Annotated) -> NDArray[np.uint8]:
    """Label map (H, W) of an image: later annotations over earlier ones."""
    labels = np.zeros((image.height, image.width), np.uint8)
    for label, segmentation in image.segments:
        labels[decode(segmentation, image.height, image.width)] = label
    return labels


def read_annotations(path: Path) -> list[tuple[str, Annotated]]:
    """(12-digit id, annotations) of every image of an instances JSON, also of those without any."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        label_of = {number: label for label, number in enumerate(sorted(c["id"] for c in content["categories"]), 1)}
        segments: dict[int, list[tuple[int, Any]]] = defaultdict(list)
        for entry in content["annotations"]:
            label = IGNORE if entry.get("iscrowd") else label_of[entry["category_id"]]
            segments[entry["image_id"]].append((label, entry["segmentation"]))
        return [
            (f"{image['id']:012d}", Annotated(image["height"], image["width"], tuple(segments[image["id"]])))
            for image in content["images"]
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not readable as COCO instance annotations: {error!r}") from None


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m scripts.prepare_coco", description=__doc__.splitlines()[0])
    parser.add_argument("--root", help="folder of the data sets; default: ISEG_DATASETS, else datasets/")
    parser.add_argument("--annotations", type=Path, nargs="+", help="default: both in ROOT/coco2014/annotations")
    parser.add_argument("--workers", type=int, help="processes; default: one per core")
    settings = parser.parse_args(arguments)
    base = datasets_root(settings.root) / "coco2014"
    files = settings.annotations or [base / "annotations" / name for name in FILES]
    missing = [path for path in files if not path.is_file()]
    if missing:
        raise InputError(f"{missing[0]}: no such file: expected the instances JSON of annotations_trainval2014.zip")
    return max(convert_all(read_annotations(path), paint, base / "coco_seg_anno", settings.workers) for path in files)


if __name__ == "__main__":
    run(main)
