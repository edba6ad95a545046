"""Scores of label maps: one addable confusion matrix (method step 8)."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from iseg.errors import InputError


class ConfusionMatrix:
    """Pixel counts, rows = target class, columns = predicted class.

    Args:
        num_classes: labels are 0 .. num_classes - 1, background included.
        ignore_index: target pixels with this label are not counted.
    """

    def __init__(self, num_classes: int, ignore_index: int = 255) -> None:
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self.counts: NDArray[np.int64] = np.zeros((num_classes, num_classes), np.int64)

    def update(self, target, prediction) -> None:
        """Count two integer label maps of the same shape (arrays or tensors).

        Raises InputError for shapes that differ and for labels out of range.
        """
        truth, guess = _integers(target, "target"), _integers(prediction, "prediction")
        if truth.shape != guess.shape:
            raise InputError(f"prediction has shape {guess.shape}, target has {truth.shape}: they must be equal")
        kept = truth != self.ignore_index
        truth, guess = truth[kept], guess[kept]
        for name, labels in (("target", truth), ("prediction", guess)):
            wrong = labels[(labels < 0) | (labels >= self.num_classes)]
            if wrong.size:
                raise InputError(f"{name} holds label {wrong[0]}: expected 0..{self.num_classes - 1}")
        pairs = truth.astype(np.int64) * self.num_classes + guess
        self.counts += np.bincount(pairs, minlength=self.num_classes**2).reshape(self.counts.shape)

    def __add__(self, other: "ConfusionMatrix") -> "ConfusionMatrix":
        if (self.num_classes, self.ignore_index) != (other.num_classes, other.ignore_index):
            raise ValueError("only confusion matrices of the same classes and ignore_index can be added")
        total = ConfusionMatrix(self.num_classes, self.ignore_index)
        total.counts = self.counts + other.counts
        return total

    def iou(self) -> NDArray[np.float64]:
        """(C,) intersection over union per class in [0, 1]; NaN where a class is in neither map."""
        hit = np.diag(self.counts)
        return _divide(hit, self.counts.sum(0) + self.counts.sum(1) - hit)

    def present(self) -> NDArray[np.bool_]:
        """(C,) whether a class occurs in the target."""
        return self.counts.sum(1) > 0

    def mean_iou(self) -> float:
        """Mean IoU over the classes present in the target; NaN before any pixel was counted."""
        return _mean(self.iou()[self.present()])

    def pixel_accuracy(self) -> float:
        """Share of the counted pixels whose label is right."""
        return float(_divide(np.diag(self.counts).sum(), self.counts.sum()))

    def mean_accuracy(self) -> float:
        """Mean over the classes present in the target of the share of their pixels that is right."""
        return _mean(_divide(np.diag(self.counts), self.counts.sum(1))[self.present()])


def _integers(labels, name: str) -> NDArray:
    array = labels.cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels)
    if array.dtype.kind not in "iub":
        raise InputError(f"{name} has dtype {array.dtype}: expected an integer label map")
    return array


def _divide(part, whole):
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if values.size else float("nan")
