"""COCO-Stuff on COCO val2017; an item's name is its 12-digit id.

stuff171: 80 things and 91 kinds of stuff, all 5,000 images. stuff27: the curated images, 12 kinds of things and 15 of
stuff.
"""

import warnings
from pathlib import Path

from iseg.data.items import Item
from iseg.data.layout import require

KINDS = {"stuff171": (5000, "val2017"), "stuff27": (2175, "the curated list")}  # images, and where there are so many


def items(root: Path, kind: str) -> list[Item]:
    """Items of a kind below `root`/coco2017; the images are those that have labels.

    Labels are 1..171 (stuff171) or 0..26 (stuff27), and 255.

    Warns when there are not as many images as the field scores on.
    """
    base = root / "coco2017"
    entries = [
        ("val2017/*.jpg", "from cocodataset.org (val2017.zip)"),
        (f"{kind}/*.png", f"made by scripts/prepare_{kind}.py"),
    ]
    require(f"COCO-Stuff-{kind.removeprefix('stuff')}", base, entries)
    labels = sorted((base / kind).glob("*.png"))
    count, whole = KINDS[kind]
    if len(labels) != count:
        warnings.warn(f"{base / kind} holds {len(labels)} images, {whole} has {count}", stacklevel=2)
    return [Item(path.stem, base / "val2017" / f"{path.stem}.jpg", path) for path in labels]
