"""What the page saves, at the image's own size, written to a file strip by strip: large images stay affordable."""

import json
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from iseg.errors import InputError
from iseg.files import export, pictures
from iseg.page import annotate
from iseg.page.decision import Decided
from iseg.page.objects import PageObject

KINDS = {
    "mask": (".png", "image/png"),
    "cutout": (".png", "image/png"),
    "overlay": (".png", "image/png"),
    "coco": (".json", "application/json"),
    "coco_polygons": (".json", "application/json"),
    "zip": (".zip", "application/zip"),
}
OF_SETS = ("coco", "coco_polygons", "zip")
STRIP = 256  # rows


@dataclass
class Exported:
    """One image of an export: its file name, pixels (H, W, 3), objects, and labels."""

    name: str
    pixels: NDArray[np.uint8]
    objects: Sequence[PageObject]
    decided: Decided

    @property
    def empty(self) -> list[str]:
        """Names of objects that have no pixel."""
        return [each.name for each, area in zip(self.objects, self.decided.areas, strict=True) if not area]


def check_kind(kind: str, kinds: Iterable[str]) -> str:
    """The kind. Raises InputError for one that is not known."""
    if kind not in kinds:
        raise InputError(f"export {kind!r} is not known: expected one of {', '.join(kinds)}")
    return kind


def file_name(name: str, kind: str) -> str:
    """What an export of a kind is called: letters, digits, - and _ of the image's name are kept."""
    stem = "".join(c if c.isalnum() or c in "-_" else "_" for c in PurePosixPath(name).stem)[:60] or "image"
    return f"{stem}_{kind}{KINDS[kind][0]}"


def palette(objects: Sequence[PageObject]) -> NDArray[np.uint8]:
    """The colours (256, 3) RGB of label images: 0 = black, k + 1 = the k-th object's colour."""
    colours = np.zeros((256, 3), np.uint8)
    for k, each in enumerate(objects):
        colours[k + 1] = [int(each.colour[i : i + 2], 16) for i in (1, 3, 5)]
    return colours


def write_picture(path: Path, kind: str, item: Exported, opacity: float) -> None:
    """Write "mask" (indexed PNG: k + 1 = the k-th object), "cutout" (RGBA) or "overlay" (RGB) of one image.

    Nothing of the upload's metadata is in it.
    """
    colours, labels = palette(item.objects), item.decided.labels
    if kind == "mask":
        export.write_mask(path, labels, colours)
    elif kind == "cutout":
        export.write_image(path, _painted("RGBA", item, lambda part, own: export.cutout(part, own > 0)))
    else:
        reach = pictures.outline_reach(labels.shape)
        export.write_image(
            path,
            _painted("RGB", item, lambda part, own: pictures.overlay(part, own, opacity, colours, reach), reach),
        )


def _painted(mode: str, item: Exported, paint: Callable[[NDArray, NDArray], NDArray], halo: int = 0) -> Image.Image:
    """A picture made of strips of rows; `halo`: rows that a strip looks beyond its own."""
    height, width = item.decided.labels.shape
    picture = Image.new(mode, (width, height))
    for top in range(0, height, STRIP):
        bottom = min(height, top + STRIP)
        low, high = max(0, top - halo), min(height, bottom + halo)
        painted = paint(item.pixels[low:high], item.decided.labels[low:high])
        picture.paste(Image.fromarray(painted[top - low : bottom - low]), (0, top))
    return picture


def write_set(path: Path, kind: str, items: Iterable[Exported], categories: annotate.Categories) -> list[str]:
    """Write images as one data set: COCO JSON (run lengths or polygons), or a ZIP of all that this page knows.

    `items` are taken one at a time. Returns "image: object" for every object that has no pixel and so is not in it.
    """
    if kind == "zip":
        return _write_zip(path, items, categories)
    coco, empty = Coco(kind == "coco_polygons", categories), []
    for item in items:
        coco.add(item)
        empty += [f"{item.name}: {name}" for name in item.empty]
    path.write_bytes(coco.content())
    return empty


class Coco:
    """A COCO file in the making. Image and annotation ids count from 1."""

    def __init__(self, polygons: bool, categories: annotate.Categories) -> None:
        self.polygons, self.categories = polygons, categories
        self.images: list[dict[str, Any]] = []
        self.annotations: list[dict[str, Any]] = []

    def add(self, item: Exported) -> None:
        """Take an image and its objects."""
        number, (height, width) = len(self.images) + 1, item.decided.labels.shape
        self.images.append({"id": number, "file_name": item.name, "width": width, "height": height})
        for each in annotate.annotations(item.objects, item.decided, self.categories, number, self.polygons):
            self.annotations.append({**each, "id": len(self.annotations) + 1})

    def content(self) -> bytes:
        """The file."""
        whole = {"images": self.images, "annotations": self.annotations, "categories": self.categories.entries()}
        return (json.dumps(whole, indent=1, ensure_ascii=False) + "\n").encode()


def _write_zip(path: Path, items: Iterable[Exported], categories: annotate.Categories) -> list[str]:
    files = [Coco(False, categories), Coco(True, categories)]
    empty: list[str] = []
    picture = path.with_suffix(".part.png")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for item in items:
            stem = str(PurePosixPath(item.name).with_suffix(""))
            for coco in files:
                coco.add(item)
            parts = {
                "SegmentationClass": annotate.class_labels(item.objects, item.decided, categories),
                "SegmentationObject": item.decided.labels,
            }
            for folder, labels in parts.items():
                export.write_mask(picture, labels)
                archive.write(picture, f"voc/{folder}/{stem}.png", zipfile.ZIP_STORED)
                picture.unlink()
            lines = annotate.yolo_lines(item.objects, item.decided, categories)
            archive.writestr(f"yolo/labels/{stem}.txt", "".join(f"{line}\n" for line in lines))
            empty += [f"{item.name}: {name}" for name in item.empty]
        archive.writestr("coco.json", files[0].content())
        archive.writestr("coco_polygons.json", files[1].content())
        archive.writestr("yolo/data.yaml", _yolo_names(categories))
    return empty


def _yolo_names(categories: annotate.Categories) -> str:
    entries = "".join(f"  {each['id'] - 1}: {json.dumps(each['name'])}\n" for each in categories.entries())
    return f"path: .\nnames:\n{entries}"
