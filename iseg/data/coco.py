"""COCO 2014 with 80 classes; an item's name is its 12-digit id."""

from pathlib import Path

from iseg.data.items import Item
from iseg.data.layout import require
from iseg.errors import InputError, echo
from iseg.texts import read_json

SITE = "from cocodataset.org"
ANNOTATIONS_2017 = "annotations/instances_val2017.json"


def items(root: Path, split: str) -> list[Item]:
    """Items of COCO 2014 below `root`/coco2014.

    Args:
        root: the data sets' folder.
        split: "train", "val", or "object": the images of val2014 that are in val2017 (COCO-Object, 5,000), whose ids
            come from annotations/instances_val2017.json or a folder val2017.
    """
    if split not in ("train", "val", "object"):
        raise InputError(f"unknown COCO split {echo(split)}: expected train, val or object")
    base = root / "coco2014"
    folder = "train2014" if split == "train" else "val2014"
    entries = [
        (f"{folder}/COCO_{folder}_*.jpg", f"{SITE} ({folder}.zip)"),
        ("coco_seg_anno/", "made by scripts/prepare_coco.py"),
    ]
    if split == "object":
        entries.append((f"{ANNOTATIONS_2017} or val2017/", f"{SITE} (annotations_trainval2017.zip)"))
    require(f"COCO2014 {split}", base, entries)
    images = {path.stem.rsplit("_", 1)[1]: path for path in sorted((base / folder).glob(f"COCO_{folder}_*.jpg"))}
    names = list(images)
    if split == "object":
        names = _ids_2017(base)
        missing = [name for name in names if name not in images]
        if missing:
            raise InputError(f"{base / folder} lacks {len(missing)} of the {len(names)} images of val2017, "
                             f"e.g. COCO_{folder}_{missing[0]}.jpg")  # fmt: skip
    return [Item(name, images[name], base / "coco_seg_anno" / f"{name}.png") for name in names]


def _ids_2017(base: Path) -> list[str]:
    """12-digit ids of val2017, sorted."""
    path = base / ANNOTATIONS_2017
    if not path.is_file():
        return sorted(image.stem for image in (base / "val2017").glob("*.jpg"))
    try:
        return sorted(f"{int(image['id']):012d}" for image in read_json(path, "COCO annotations")["images"])
    except (LookupError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not readable as COCO annotations: {echo(error)}") from None
