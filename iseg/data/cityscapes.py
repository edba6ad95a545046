"""Cityscapes val with 19 classes, or the 27 of the unsupervised task; an item's name is CITY_SEQUENCE_FRAME."""

import warnings
from pathlib import Path

from iseg.data.items import Item
from iseg.data.layout import require

IMAGE, COUNT = "_leftImg8bit", 500
KINDS = {"cityscapes19": "labels19", "cityscapes27": "labels27"}  # folder of the labels


def items(root: Path, kind: str) -> list[Item]:
    """Items of Cityscapes val below `root`/cityscapes, labels 1..19 (cityscapes19) or 0..26 (cityscapes27), and 255.

    Warns when there are not the 500 images of val.
    """
    base = root / "cityscapes"
    entries = [
        (f"leftImg8bit/val/*/*{IMAGE}.png", "from cityscapes-dataset.com (leftImg8bit_trainvaltest.zip)"),
        (f"{KINDS[kind]}/val/*.png", f"made by scripts/prepare_{kind}.py"),
    ]
    require("Cityscapes val", base, entries)
    images = sorted((base / "leftImg8bit" / "val").glob(f"*/*{IMAGE}.png"))
    if len(images) != COUNT:
        warnings.warn(f"{base / 'leftImg8bit/val'} holds {len(images)} images, val has {COUNT}", stacklevel=2)
    names = [path.stem.removesuffix(IMAGE) for path in images]
    labels = base / KINDS[kind] / "val"
    return [Item(name, path, labels / f"{name}.png") for name, path in zip(names, images, strict=True)]
