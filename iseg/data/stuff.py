"""COCO-Stuff-27: the curated images of COCO val2017, 12 kinds of things and 15 of stuff; an item's name is its id."""

import warnings
from pathlib import Path

from iseg.data.items import Item
from iseg.data.layout import require

COUNT = 2175  # of the curated list that the field scores on


def items(root: Path) -> list[Item]:
    """Items of COCO-Stuff-27 below `root`/coco2017, labels 0..26 and 255; the images are those that have labels.

    Warns when there are not the 2,175 images of the curated list.
    """
    base = root / "coco2017"
    entries = [
        ("val2017/*.jpg", "from cocodataset.org (val2017.zip)"),
        ("stuff27/*.png", "made by scripts/prepare_stuff27.py"),
    ]
    require("COCO-Stuff-27", base, entries)
    labels = sorted((base / "stuff27").glob("*.png"))
    if len(labels) != COUNT:
        warnings.warn(f"{base / 'stuff27'} holds {len(labels)} images, the curated list has {COUNT}", stacklevel=2)
    return [Item(path.stem, base / "val2017" / f"{path.stem}.jpg", path) for path in labels]
