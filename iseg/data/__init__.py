"""Data sets as lists of items (name, image, truth); no id list is shipped.

VOC, Context, COCO, COCO-Stuff-27, Cityscapes and plain folders.
"""

import os
from pathlib import Path

from iseg.data import cityscapes, coco, context, folder, stuff, voc
from iseg.data.items import Item
from iseg.errors import InputError, echo

KINDS = ("voc", "context", "coco", "stuff27", "cityscapes27", "folder")


def datasets_root(root: str | Path | None = None) -> Path:
    """The folder that holds the data sets: `root`, else the variable ISEG_DATASETS, else `datasets/`."""
    return Path(root or os.environ.get("ISEG_DATASETS") or "datasets")


def open_items(kind: str, split: str = "val", root: str | Path | None = None, truth: str | None = None) -> list[Item]:
    """The items of a split, in a fixed order.

    Args:
        kind: "voc", "context", "coco", "stuff27", "cityscapes27" (below the data sets' root) or "folder" (`root` holds
            the images).
        split: voc: "train", "val", "trainval", "train_aug"; context: "train", "val"; coco: "train", "val", "object".
            Not used by the others: stuff27 and cityscapes27 are val.
        root: see `datasets_root`; for kind "folder" the folder of images.
        truth: kind "folder" only: folder of label PNGs with the images' names.

    Raises InputError for an unknown kind or split, and for a missing tree, with the expected one.
    """
    if kind == "folder":
        if root is None:
            raise InputError("data set kind folder needs its folder of images: give data.root")
        return folder.items(Path(root), Path(truth) if truth else None)
    if kind == "voc":
        return voc.items(datasets_root(root), split)
    if kind == "context":
        return context.items(datasets_root(root), split)
    if kind == "coco":
        return coco.items(datasets_root(root), split)
    if kind == "stuff27":
        return stuff.items(datasets_root(root))
    if kind == "cityscapes27":
        return cityscapes.items(datasets_root(root))
    raise InputError(f"unknown data set kind {echo(kind)}: expected one of {', '.join(KINDS)}")
