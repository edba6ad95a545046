"""Cityscapes val with the 27 classes of the unsupervised task; an item's name is CITY_SEQUENCE_FRAME."""

import warnings
from pathlib import Path

from iseg.data.items import Item
from iseg.data.layout import require

IMAGE, COUNT = "_leftImg8bit", 500


def items(root: Path) -> list[Item]:
    """Items of Cityscapes val below `root`/cityscapes, labels 0..26 and 255.

    Warns when there are not the 500 images of val.
    """
    base = root / "cityscapes"
    entries = [
        (f"leftImg8bit/val/*/*{IMAGE}.png", "from cityscapes-dataset.com (leftImg8bit_trainvaltest.zip)"),
        ("labels27/val/*.png", "made by scripts/prepare_cityscapes27.py"),
    ]
    require("Cityscapes val", base, entries)
    images = sorted((base / "leftImg8bit" / "val").glob(f"*/*{IMAGE}.png"))
    if len(images) != COUNT:
        warnings.warn(f"{base / 'leftImg8bit/val'} holds {len(images)} images, val has {COUNT}", stacklevel=2)
    names = [path.stem.removesuffix(IMAGE) for path in images]
    labels = base / "labels27" / "val"
    return [Item(name, path, labels / f"{name}.png") for name, path in zip(names, images, strict=True)]
