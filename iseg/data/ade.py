"""ADE20k val with the 150 classes of the scene parsing challenge; an item's name is ADE_val_NUMBER."""

import warnings
from pathlib import Path

from iseg.data.items import Item
from iseg.data.layout import require

COUNT = 2000
ARCHIVE = "from data.csail.mit.edu/places/ADEchallenge (ADEChallengeData2016.zip)"


def items(root: Path) -> list[Item]:
    """Items of ADE20k val below `root`/ADEChallengeData2016, labels 1..150; 0, what is none of them, is ignored.

    Warns when there are not the 2,000 images of val.
    """
    base = root / "ADEChallengeData2016"
    require(
        "ADE20k val",
        base,
        [("images/validation/ADE_val_*.jpg", ARCHIVE), ("annotations/validation/ADE_val_*.png", ARCHIVE)],
    )
    images = sorted((base / "images" / "validation").glob("ADE_val_*.jpg"))
    if len(images) != COUNT:
        warnings.warn(f"{base / 'images/validation'} holds {len(images)} images, val has {COUNT}", stacklevel=2)
    labels = base / "annotations" / "validation"
    return [Item(path.stem, path, labels / f"{path.stem}.png", background=False) for path in images]
