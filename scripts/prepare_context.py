"""PASCAL Context .mat files (459 labels) -> 59-class label PNGs; everything else is 0.

    python -m scripts.prepare_context --mat FOLDER [--labels FOLDER/../labels.txt] [--root datasets] [--workers N]

FOLDER holds the .mat files of trainval.tar.gz of PASCAL Context; labels.txt ("1: accordion", ...) is beside it.
"""

import argparse
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from iseg.data import datasets_root
from iseg.data.classes import load_classes
from iseg.errors import InputError
from scripts.prepare import convert_all, run

CLASSES = "context59"


def lookup(labels: Path) -> NDArray[np.uint8]:
    """Table from the labels of the .mat files to 0..59, by the names in labels.txt. InputError if one is missing."""
    try:
        lines = [line for line in labels.read_text(encoding="utf-8").splitlines() if line.strip()]
        numbers = {name.strip(): int(number) for number, name in (line.split(":", 1) for line in lines)}
    except (OSError, ValueError) as error:
        raise InputError(f"{labels}: not readable as lines 'number: name': {error}") from None
    classes = load_classes(CLASSES)
    missing = [entry.name for entry in classes if entry.name not in numbers]
    if missing:
        raise InputError(f"{labels}: has no label {', '.join(missing)}: expected labels.txt of PASCAL Context")
    table = np.zeros(max(numbers.values()) + 1, np.uint8)
    for entry in classes:
        table[numbers[entry.name]] = entry.id
    return table


def label_map(table: NDArray[np.uint8], path: Path) -> NDArray[np.uint8]:
    """(H, W) labels 0..59 of one .mat file (variable LabelMap)."""
    try:
        labels = loadmat(path)["LabelMap"]
    except (OSError, ValueError, KeyError, TypeError, NotImplementedError, MatReadError) as error:
        raise InputError(f"{path}: not readable as a .mat file with LabelMap: {error}") from None
    if labels.ndim != 2 or labels.max(initial=0) >= len(table):
        raise InputError(f"{path}: LabelMap of shape {labels.shape} holds {labels.max(initial=0)}: "
                         f"expected (H, W) with 0..{len(table) - 1}")  # fmt: skip
    return table[labels]


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m scripts.prepare_context", description=__doc__.splitlines()[0])
    parser.add_argument("--mat", type=Path, required=True, help="folder of the .mat files")
    parser.add_argument("--labels", type=Path, help="labels.txt; default: beside the folder, or in it")
    parser.add_argument("--root", help="folder of the data sets; default: ISEG_DATASETS, else datasets/")
    parser.add_argument("--workers", type=int, help="processes; default: one per core")
    settings = parser.parse_args(arguments)
    files = sorted(settings.mat.glob("*.mat"))
    if not files:
        raise InputError(f"{settings.mat}: holds no .mat file: expected those of trainval.tar.gz of PASCAL Context")
    inside = settings.mat / "labels.txt"
    labels = settings.labels or (inside if inside.is_file() else settings.mat.parent / "labels.txt")
    out = datasets_root(settings.root) / "VOCdevkit" / "VOC2010" / "SegmentationClassContext"
    jobs = [(path.stem, path) for path in files]
    return convert_all(jobs, partial(label_map, lookup(labels)), out, settings.workers)


if __name__ == "__main__":
    run(main)
