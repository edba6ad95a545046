"""Regions without names against classes: Hungarian matching per image, and once per data set for comparison.

The per-image protocol is that of DiffSeg (arXiv 2308.12469) and DiffCut (arXiv 2406.02842). Methods that match once per
data set (PiCIE, STEGO, EAGLE) solve a harder task: their figures are not comparable with the per-image ones.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from iseg.data.items import IGNORE
from iseg.errors import InputError
from iseg.extras import import_extra

Counts = NDArray[np.int64]


def count_pairs(truth: NDArray, regions: NDArray, num_classes: int, ignore_index: int = IGNORE) -> Counts:
    """Pixels by class and region: (C, max(C, R)) int64, rows = classes.

    Args:
        truth: (H, W) labels 0..C - 1, `ignore_index` is not counted.
        regions: (H, W) labels 0..R - 1.
        num_classes: C.

    Raises InputError for shapes that differ and for labels out of range.
    """
    if truth.shape != regions.shape:
        raise InputError(f"regions have shape {regions.shape}, truth has {truth.shape}: they must be equal")
    kept = truth != ignore_index
    classes, found = truth[kept].astype(np.int64), regions[kept].astype(np.int64)
    if classes.size and not (classes.min() >= 0 and classes.max() < num_classes):
        raise InputError(f"truth holds labels {classes.min()}..{classes.max()}: expected 0..{num_classes - 1}")
    if found.size and found.min() < 0:
        raise InputError(f"regions hold label {found.min()}: expected 0, 1, ...")
    width = max(num_classes, int(regions.max(initial=-1)) + 1)
    return np.bincount(classes * width + found, minlength=num_classes * width).reshape(num_classes, width)


def match(counts: Counts) -> NDArray[np.intp]:
    """The region (C,) of every class such that matched pixels are most: (C, R >= C) counts, each region taken once.

    Raises InputError without scipy.
    """
    optimize = import_extra("scipy.optimize", "data", "Hungarian matching")
    return optimize.linear_sum_assignment(counts, maximize=True)[1]


class MatchedCounts:
    """True positives, false positives and false negatives of matched regions, added over images.

    Args:
        num_classes: C.
    """

    def __init__(self, num_classes: int) -> None:
        self.num_classes, self.images = num_classes, 0
        self.hits, self.false_positives, self.false_negatives = np.zeros((3, num_classes), np.int64)

    def add(self, counts: Counts) -> None:
        """Match and add the counts (C, R >= C) of an image, or of a whole data set (`DatasetCounts`)."""
        regions = match(counts)
        hits = counts[np.arange(self.num_classes), regions]
        self.hits += hits
        self.false_positives += counts[:, regions].sum(0) - hits
        self.false_negatives += counts.sum(1) - hits
        self.images += 1

    def iou(self) -> NDArray[np.float64]:
        """(C,) intersection over union in [0, 1]; NaN for a class that neither occurs nor was matched to pixels."""
        union = self.hits + self.false_positives + self.false_negatives
        return np.divide(self.hits, union, out=np.full(self.num_classes, np.nan), where=union > 0)

    def mean_iou(self) -> float:
        """Mean over the classes, NaN left out; NaN before anything was counted."""
        iou = self.iou()
        return float(np.nanmean(iou)) if np.isfinite(iou).any() else float("nan")

    def accuracy(self) -> float:
        """Matched pixels over counted pixels; NaN before anything was counted."""
        counted = (self.hits + self.false_negatives).sum()
        return float(self.hits.sum() / counted) if counted else float("nan")

    def summary(self) -> dict[str, Any]:
        """The figures as plain values in [0, 1], None where undefined."""
        numbers = {"miou": self.mean_iou(), "accuracy": self.accuracy()}
        shown = {key: None if np.isnan(value) else value for key, value in numbers.items()}
        return {**shown, "class_iou": [None if np.isnan(value) else float(value) for value in self.iou()]}


class DatasetCounts:
    """Counts of all images by class and region number, to be matched once: region r of one image is r of every other.

    Regions are numbered by size, largest first, since nothing else ties those of two images together. A method that
    finds regions image by image scores low here by construction.

    Args:
        num_classes: C.
    """

    def __init__(self, num_classes: int) -> None:
        self.counts: Counts = np.zeros((num_classes, num_classes), np.int64)

    def add(self, counts: Counts) -> None:
        """Add the counts (C, R >= C) of an image."""
        ordered = counts[:, np.argsort(-counts.sum(0), kind="stable")]
        width = max(self.counts.shape[1], ordered.shape[1])
        total = np.zeros((len(self.counts), width), np.int64)
        total[:, : self.counts.shape[1]] += self.counts
        total[:, : ordered.shape[1]] += ordered
        self.counts = total

    def matched(self) -> MatchedCounts:
        """The result of matching once."""
        result = MatchedCounts(len(self.counts))
        result.add(self.counts)
        return result
