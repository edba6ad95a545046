"""COCO-Stuff's pixel maps -> label PNGs of COCO-Stuff-27.

    python -m scripts.prepare_stuff27 --maps stuffthingmaps/val2017 \\
        --list curated/val2017/Coco164kFull_Stuff_Coarse_7.txt

Labels are 0..26 in the order of configs/classes/stuff27.yaml, 255 is ignored.
The maps are those of stuffthingmaps_trainval2017.zip (COCO-Stuff), the list of 2,175 images comes with IIC's data
(github.com/xu-ji/IIC). A second start makes what is missing.
"""

import argparse
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from iseg.data import datasets_root
from iseg.data.classes import load_classes
from iseg.data.items import IGNORE
from iseg.data.layout import read_names
from iseg.data.read import read_label
from iseg.errors import InputError
from scripts.prepare import convert_all, run

CLASSES = "stuff27"
FINE = 182  # labels 0..181 of the maps: COCO's category id less 1
# COCO's own supercategories of the labels; stuff labels of one supercategory are not contiguous
PARTS = {
    "person": "0", "vehicle": "1-8", "outdoor": "9-14", "animal": "15-24", "accessory": "25-32", "sports": "33-42",
    "kitchen": "43-50", "food": "51-60", "furniture": "61-70", "electronic": "71-76", "appliance": "77-82",
    "indoor": "83-90",
    "ceiling": "101-102", "floor": "100 113-117", "food-stuff": "120-121 152 169",
    "furniture-stuff": "97 106-107 109 111 122 129 132 155 160 164", "raw-material": "99 131 138 142",
    "textile": "91-92 103-104 108 130 136 140 151 166-167", "wall": "170-176", "window": "179-180",
    "building": "94-95 127 150 157 165", "ground": "110 124-125 135 139 143-144 146 148 153 158",
    "plant": "93 96 118 123 128 133 141 162 168", "sky": "105 156", "solid": "126 134 149 159 161 181",
    "structural": "98 112 137 145 163", "water": "119 147 154 177-178",
}  # fmt: skip


def lookup() -> NDArray[np.uint8]:
    """(256,) label of the 27 for every label of the maps; 255 for what belongs to none."""
    table = np.full(256, IGNORE, np.uint8)
    for entry in load_classes(CLASSES):
        for part in PARTS[entry.name].split():
            first, _, last = part.partition("-")
            table[int(first) : int(last or first) + 1] = entry.id - 1
    return table


def label_map(table: NDArray[np.uint8], path: Path) -> NDArray[np.uint8]:
    """(H, W) labels of one map. Raises InputError for a file that is none."""
    return table[read_label(path, FINE)]


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m scripts.prepare_stuff27", description=__doc__.splitlines()[0])
    parser.add_argument("--maps", type=Path, required=True, help="folder of the maps of val2017")
    parser.add_argument("--list", type=Path, required=True, help="file with the ids of the curated images")
    parser.add_argument("--root", help="folder of the data sets; default: ISEG_DATASETS, else datasets/")
    parser.add_argument("--workers", type=int, help="processes; default: one per core")
    settings = parser.parse_args(arguments)
    if not settings.maps.is_dir():
        raise InputError(f"{settings.maps}: no such folder: expected the maps of COCO-Stuff's val2017")
    jobs = [(name, settings.maps / f"{name}.png") for name in read_names(settings.list)]
    out = datasets_root(settings.root) / "coco2017" / "stuff27"
    return convert_all(jobs, partial(label_map, lookup()), out, settings.workers)


if __name__ == "__main__":
    run(main)
