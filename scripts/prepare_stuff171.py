"""COCO-Stuff's pixel maps -> label PNGs of its 171 classes.

    python -m scripts.prepare_stuff171 --maps stuffthingmaps/val2017

Labels are 1..171 in the order of configs/classes/stuff171.yaml, 255 is ignored: of the 182 labels of the maps, eleven
belong to COCO categories that were never annotated. The maps are those of stuffthingmaps_trainval2017.zip (COCO-Stuff).
A second start makes what is missing.
"""

import argparse
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from iseg.data import datasets_root
from iseg.data.items import IGNORE
from iseg.errors import InputError
from scripts.prepare import convert_all, run
from scripts.prepare_stuff27 import FINE, label_map

UNUSED = (11, 25, 28, 29, 44, 65, 67, 68, 70, 82, 90)  # labels of the maps: street sign, hat, shoe, ..., hair brush


def lookup() -> NDArray[np.uint8]:
    """(256,) label 1..171 for every label of the maps; 255 for what belongs to none."""
    table = np.full(256, IGNORE, np.uint8)
    used = [label for label in range(FINE) if label not in UNUSED]
    table[used] = np.arange(1, len(used) + 1)
    return table


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m scripts.prepare_stuff171", description=__doc__.splitlines()[0])
    parser.add_argument("--maps", type=Path, required=True, help="folder of the maps of val2017")
    parser.add_argument("--root", help="folder of the data sets; default: ISEG_DATASETS, else datasets/")
    parser.add_argument("--workers", type=int, help="processes; default: one per core")
    settings = parser.parse_args(arguments)
    files = sorted(settings.maps.glob("*.png"))
    if not files:
        raise InputError(f"{settings.maps}: holds no PNG: expected the maps of COCO-Stuff's val2017")
    out = datasets_root(settings.root) / "coco2017" / "stuff171"
    return convert_all([(path.stem, path) for path in files], partial(label_map, lookup()), out, settings.workers)


if __name__ == "__main__":
    run(main)
