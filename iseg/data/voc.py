"""PASCAL VOC 2012 segmentation: ids from the devkit's own lists."""

from pathlib import Path

from iseg.data.items import Item
from iseg.data.layout import read_names, require

DEVKIT = "from the VOC2012 devkit (VOCtrainval_11-May-2012.tar)"
AUGMENTED = "made by scripts/prepare_voc_aug.py"


def items(root: Path, split: str) -> list[Item]:
    """Items of VOC 2012 below `root`/VOCdevkit/VOC2012.

    Args:
        root: the data sets' folder.
        split: a list of ImageSets/Segmentation ("train", "val", "trainval"), or "train_aug": the ids of
            SegmentationClassAug that are not in val.

    Labels come from SegmentationClassAug; for the devkit's own lists SegmentationClass will do where it is missing.
    """
    base = root / "VOCdevkit" / "VOC2012"
    augmented = split == "train_aug"
    names_file = f"ImageSets/Segmentation/{'val' if augmented else split}.txt"
    labels = ("SegmentationClassAug/", AUGMENTED)
    if not augmented:
        labels = ("SegmentationClassAug/ or SegmentationClass/", f"{AUGMENTED}, or {DEVKIT}")
    require(f"VOC2012 {split}", base, [("JPEGImages/", DEVKIT), (names_file, DEVKIT), labels])
    masks = base / "SegmentationClassAug"
    if not masks.is_dir():
        masks = base / "SegmentationClass"
    names = read_names(base / names_file)
    if augmented:
        held_out = set(names)
        names = sorted(path.stem for path in masks.glob("*.png") if path.stem not in held_out)
    return [Item(name, base / "JPEGImages" / f"{name}.jpg", masks / f"{name}.png") for name in names]
