"""How good labels are: precision, recall, F1 and average precision against the classes that images truly hold."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def average_precision(truth: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
    """Area under the precision-recall steps of one class over images (n,); NaN where no image holds it.

    Images of equal score count as one step.
    """
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(truth[order])
    if not truth.any():
        return float("nan")
    last = np.append(np.diff(scores[order]) != 0, True)  # the last image of every score
    recall = hits[last] / hits[-1]
    precision = hits[last] / (np.flatnonzero(last) + 1)
    return float(np.sum(np.diff(recall, prepend=0) * precision))


def quality(
    truth: Mapping[str, Sequence[int]],
    chosen: Mapping[str, Sequence[int]],
    names: Sequence[str],
    scores: Mapping[str, Sequence[float]] | None = None,
) -> dict[str, Any]:
    """Quality of labels over the images of `truth`.

    Args:
        truth: {image: indices into `names` of the classes it holds}.
        chosen: {image: indices of its labels}; every image of `truth` must be there.
        names: K class names.
        scores: {image: K scores} for the average precision; without them it is None.

    Returns:
        Plain values, shares in [0, 1], None where undefined: precision, recall, f1 over all (image, class) pairs;
        macro_f1 and map, means over the classes that occur in the truth; images; classes: per class the same and the
        number of images that truly hold it.
    """
    images = list(truth)
    present, labelled = _table(truth, images, len(names)), _table(chosen, images, len(names))
    values = (
        None if scores is None else np.array([scores[image] for image in images], np.float64).reshape(present.shape)
    )
    hits = present & labelled
    classes = []
    for index, name in enumerate(names):
        precision = None if values is None else average_precision(present[:, index], values[:, index])
        counts = (hits[:, index].sum(), labelled[:, index].sum(), present[:, index].sum())
        classes.append({"name": name, **_shares(*counts), "ap": _number(precision), "images": int(counts[2])})
    occurring = [entry for entry in classes if entry["images"]]
    return {
        **_shares(hits.sum(), labelled.sum(), present.sum()),
        "macro_f1": _mean([entry["f1"] for entry in occurring]),
        "map": None if values is None else _mean([entry["ap"] for entry in occurring]),
        "images": len(images),
        "classes": classes,
    }


def _table(labels: Mapping[str, Sequence[int]], images: Sequence[str], num_classes: int) -> NDArray[np.bool_]:
    """(n, K) whether an image has a class."""
    table = np.zeros((len(images), num_classes), bool)
    for row, image in enumerate(images):
        table[row, list(labels[image])] = True
    return table


def _shares(hits: int, labelled: int, present: int) -> dict[str, float | None]:
    return {
        "precision": float(hits / labelled) if labelled else None,
        "recall": float(hits / present) if present else None,
        "f1": float(2 * hits / (labelled + present)) if labelled + present else None,
    }


def _number(value: float | None) -> float | None:
    return None if value is None or np.isnan(value) else float(value)


def _mean(values: Sequence[Any]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
