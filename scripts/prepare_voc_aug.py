"""SBD .mat files + VOC 2012 masks -> SegmentationClassAug; where an image has both, VOC's own mask is taken.

    python -m scripts.prepare_voc_aug --sbd benchmark_RELEASE [--root datasets] [--workers N]

The folder is that of benchmark.tgz (Semantic Boundaries Dataset) and holds dataset/cls/*.mat.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from iseg.data import datasets_root
from iseg.data.layout import require
from iseg.data.read import read_label
from iseg.errors import InputError
from scripts.prepare import convert_all, run

NUM_CLASSES = 21


def label_map(path: Path) -> NDArray[np.uint8]:
    """(H, W) labels 0..20, 255 of a VOC PNG or an SBD .mat file (GTcls.Segmentation)."""
    if path.suffix == ".png":
        return read_label(path, NUM_CLASSES)
    try:
        labels = loadmat(path, squeeze_me=True, struct_as_record=False)["GTcls"].Segmentation
    except (OSError, ValueError, KeyError, TypeError, AttributeError, NotImplementedError, MatReadError) as error:
        raise InputError(f"{path}: not readable as a .mat file with GTcls.Segmentation: {error}") from None
    if labels.ndim != 2 or labels.max(initial=0) >= NUM_CLASSES:
        raise InputError(f"{path}: Segmentation of shape {labels.shape} holds {labels.max(initial=0)}: "
                         f"expected (H, W) with 0..{NUM_CLASSES - 1}")  # fmt: skip
    return labels.astype(np.uint8)


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m scripts.prepare_voc_aug", description=__doc__.splitlines()[0])
    parser.add_argument("--sbd", type=Path, required=True, help="folder of benchmark.tgz, with dataset/cls/*.mat")
    parser.add_argument("--root", help="folder of the data sets; default: ISEG_DATASETS, else datasets/")
    parser.add_argument("--workers", type=int, help="processes; default: one per core")
    settings = parser.parse_args(arguments)
    base = datasets_root(settings.root) / "VOCdevkit" / "VOC2012"
    require("VOC2012", base, [("SegmentationClass/*.png", "from VOCtrainval_11-May-2012.tar")])
    require("SBD", settings.sbd, [("dataset/cls/*.mat", "from benchmark.tgz")])
    files = {path.stem: path for path in sorted((settings.sbd / "dataset" / "cls").glob("*.mat"))}
    files |= {path.stem: path for path in sorted((base / "SegmentationClass").glob("*.png"))}
    return convert_all(list(files.items()), label_map, base / "SegmentationClassAug", settings.workers)


if __name__ == "__main__":
    run(main)
