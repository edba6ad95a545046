"""PASCAL Context (59 classes) on VOC 2010."""

import warnings
from pathlib import Path

from iseg.data.items import Item
from iseg.data.layout import read_names, require

DEVKIT = "from the VOC2010 devkit (VOCtrainval_03-May-2010.tar)"
VAL_COUNT = 5105  # ids of VOC2010 ImageSets/Main/val.txt, which is the published split


def items(root: Path, split: str) -> list[Item]:
    """Items of PASCAL Context below `root`/VOCdevkit/VOC2010; split = a list of ImageSets/Main ("train", "val").

    Warns when val does not have the 5,105 ids of the published split.
    """
    base = root / "VOCdevkit" / "VOC2010"
    names_file = f"ImageSets/Main/{split}.txt"
    require(
        f"Context {split}",
        base,
        [
            ("JPEGImages/", DEVKIT),
            (names_file, DEVKIT),
            ("SegmentationClassContext/", "made by scripts/prepare_context.py"),
        ],
    )
    names = read_names(base / names_file)
    if split == "val" and len(names) != VAL_COUNT:
        message = f"{base / names_file} lists {len(names)} images, the published split has {VAL_COUNT}"
        warnings.warn(message, stacklevel=2)
    masks = base / "SegmentationClassContext"
    return [Item(name, base / "JPEGImages" / f"{name}.jpg", masks / f"{name}.png") for name in names]
