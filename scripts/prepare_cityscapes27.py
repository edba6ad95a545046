"""Cityscapes' label ids -> label PNGs of the 27 classes: ids 7..33 become 0..26, the rest is ignored (255).

    python -m scripts.prepare_cityscapes27 [--root datasets] [--workers N]

Reads ROOT/cityscapes/gtFine/val/CITY/*_gtFine_labelIds.png (gtFine_trainvaltest.zip). A second start makes what
is missing.
"""

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from iseg.data import datasets_root
from iseg.data.cityscapes import KINDS
from iseg.data.items import IGNORE
from iseg.data.layout import require
from iseg.data.read import read_label
from scripts.prepare import convert_all, run

FIRST, LAST = 7, 33  # ids that count; the licence plate, -1, is 255 in the files
ENDING = "_gtFine_labelIds.png"


def lookup(first: int, ids: Sequence[int]) -> NDArray[np.uint8]:
    """(256,) label of every label id: first, first + 1, ... for `ids` in their order; 255 for all others."""
    table = np.full(256, IGNORE, np.uint8)
    table[list(ids)] = np.arange(first, first + len(ids))
    return table


def label_map(table: NDArray[np.uint8], path: Path) -> NDArray[np.uint8]:
    """(H, W) labels of one file. Raises InputError for one that holds no label ids."""
    return table[read_label(path, LAST + 1)]


def prepare(arguments: list[str] | None, description: str, table: NDArray[np.uint8], kind: str) -> int:
    """Make the labels of a kind of `iseg.data.cityscapes` from a table of label ids; returns the exit code."""
    parser = argparse.ArgumentParser(prog=f"python -m scripts.prepare_{kind}", description=description)
    parser.add_argument("--root", help="folder of the data sets; default: ISEG_DATASETS, else datasets/")
    parser.add_argument("--workers", type=int, help="processes; default: one per core")
    settings = parser.parse_args(arguments)
    base = datasets_root(settings.root) / "cityscapes"
    require(
        "Cityscapes val", base, [(f"gtFine/val/*/*{ENDING}", "from cityscapes-dataset.com (gtFine_trainvaltest.zip)")]
    )
    files = sorted((base / "gtFine" / "val").glob(f"*/*{ENDING}"))
    jobs = [(path.name.removesuffix(ENDING), path) for path in files]
    return convert_all(jobs, partial(label_map, table), base / KINDS[kind] / "val", settings.workers)


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    return prepare(arguments, __doc__.splitlines()[0], lookup(0, range(FIRST, LAST + 1)), "cityscapes27")


if __name__ == "__main__":
    run(main)
