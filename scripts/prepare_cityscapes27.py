"""Cityscapes' label ids -> label PNGs of the 27 classes: ids 7..33 become 0..26, the rest is ignored (255).

    python -m scripts.prepare_cityscapes27 [--root datasets] [--workers N]

Reads ROOT/cityscapes/gtFine/val/CITY/*_gtFine_labelIds.png (gtFine_trainvaltest.zip). A second start makes what
is missing.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from iseg.data import datasets_root
from iseg.data.items import IGNORE
from iseg.data.layout import require
from iseg.data.read import read_label
from scripts.prepare import convert_all, run

FIRST, LAST = 7, 33  # ids that count; the licence plate, -1, is 255 in the files
ENDING = "_gtFine_labelIds.png"


def label_map(path: Path) -> NDArray[np.uint8]:
    """(H, W) labels 0..26 and 255 of one file. Raises InputError for one that holds no label ids."""
    ids = read_label(path, LAST + 1)
    return np.where((ids >= FIRST) & (ids <= LAST), ids - FIRST, IGNORE).astype(np.uint8)


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m scripts.prepare_cityscapes27", description=__doc__.splitlines()[0])
    parser.add_argument("--root", help="folder of the data sets; default: ISEG_DATASETS, else datasets/")
    parser.add_argument("--workers", type=int, help="processes; default: one per core")
    settings = parser.parse_args(arguments)
    base = datasets_root(settings.root) / "cityscapes"
    require(
        "Cityscapes val", base, [(f"gtFine/val/*/*{ENDING}", "from cityscapes-dataset.com (gtFine_trainvaltest.zip)")]
    )
    files = sorted((base / "gtFine" / "val").glob(f"*/*{ENDING}"))
    jobs = [(path.name.removesuffix(ENDING), path) for path in files]
    return convert_all(jobs, label_map, base / "labels27" / "val", settings.workers)


if __name__ == "__main__":
    run(main)
