"""Data sets as lists of items (name, image, truth); no id list is shipped.

VOC, Context, COCO, COCO-Stuff, ADE20k, Cityscapes and plain folders.
"""

import os
from dataclasses import replace
from pathlib import Path

from iseg.data import ade, cityscapes, coco, context, folder, stuff, voc
from iseg.data.items import Item
from iseg.errors import InputError, echo

KINDS = ("voc", "context", "coco", "stuff171", "ade150", "cityscapes19", "stuff27", "cityscapes27", "folder")


def datasets_root(root: str | Path | None = None) -> Path:
    """The folder that holds the data sets: `root`, else the variable ISEG_DATASETS, else `datasets/`."""
    return Path(root or os.environ.get("ISEG_DATASETS") or "datasets")


def open_items(
    kind: str,
    split: str = "val",
    root: str | Path | None = None,
    truth: str | None = None,
    background: bool = True,
) -> list[Item]:
    """The items of a split, in a fixed order.

    Args:
        kind: one of `KINDS`: below the data sets' root, or "folder" (`root` holds the images).
        split: voc: "train", "val", "trainval", "train_aug"; context: "train", "val"; coco: "train", "val", "object".
            Not used by the others, which are val.
        root: see `datasets_root`; for kind "folder" the folder of images.
        truth: kind "folder" only: folder of label PNGs with the images' names.
        background: see `Item`.

    Raises InputError for an unknown kind or split, and for a missing tree, with the expected one.
    """
    items = _items(kind, split, root, truth)
    return items if background else [replace(item, background=False) for item in items]


def _items(kind: str, split: str, root: str | Path | None, truth: str | None) -> list[Item]:
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
    if kind in stuff.KINDS:
        return stuff.items(datasets_root(root), kind)
    if kind in cityscapes.KINDS:
        return cityscapes.items(datasets_root(root), kind)
    if kind == "ade150":
        return ade.items(datasets_root(root))
    raise InputError(f"unknown data set kind {echo(kind)}: expected one of {', '.join(KINDS)}")
