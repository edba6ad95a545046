"""Scores from saved masks alone; no model is needed."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from iseg.ahead import read_ahead
from iseg.data.classes import LabelClass
from iseg.data.items import Item
from iseg.data.labels import present
from iseg.data.read import read_label, read_truth
from iseg.errors import InputError
from iseg.evaluate.metrics import ConfusionMatrix
from iseg.files.export import write_bytes, write_json
from iseg.work.trouble import Failure, read_or_failure

READERS = 4
BACKGROUND = "background"


@dataclass
class Score:
    """Pixel counts over a set of images, and what could not be counted.

    Attributes:
        confusion: rows = truth, columns = mask.
        images: number of images counted.
        skipped: names of images without a mask whose truth has nothing but background.
        failures: {name: reason} of images that could not be counted.
    """

    confusion: ConfusionMatrix
    images: int = 0
    skipped: list[str] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)

    def summary(self, classes: Sequence[LabelClass]) -> dict[str, Any]:
        """Everything as plain values: IoU in [0, 1], None where undefined."""
        counts, iou = self.confusion.counts, self.confusion.iou()
        names = [BACKGROUND, *(entry.name for entry in classes)]
        return {
            "images": self.images,
            "skipped": len(self.skipped),
            "failures": self.failures,
            "miou": _number(self.confusion.mean_iou()),
            "pixel_accuracy": _number(self.confusion.pixel_accuracy()),
            "mean_accuracy": _number(self.confusion.mean_accuracy()),
            "classes": [
                {
                    "id": index,
                    "name": name,
                    "iou": _number(iou[index]),
                    "truth_pixels": int(counts[index].sum()),
                    "mask_pixels": int(counts[:, index].sum()),
                }
                for index, name in enumerate(names)
            ],
        }


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def count(item: Item, mask: Path, num_classes: int) -> ConfusionMatrix | None:
    """Counts of one image; None for one without a mask whose truth has nothing but background.

    Raises InputError for a missing or unusable mask or truth, and where their sizes differ.
    """
    truth = read_truth(item, num_classes)
    if not mask.is_file() and not present(truth):
        return None
    guess = read_label(mask, num_classes)
    if guess.shape != truth.shape:
        raise InputError(f"{mask}: is {guess.shape[1]}x{guess.shape[0]}, its truth {truth.shape[1]}x{truth.shape[0]}")
    matrix = ConfusionMatrix(num_classes)
    try:
        matrix.update(truth, guess)
    except InputError as error:
        raise InputError(f"{mask}: {error}") from None
    return matrix


def score_masks(masks: Path, items: Iterable[Item], num_classes: int, readers: int = READERS) -> Score:
    """Score MASKS/NAME.png of every item against its truth; what cannot be read is recorded, the rest counts."""
    score = Score(ConfusionMatrix(num_classes))
    items = list(items)

    def attempt(item: Item) -> ConfusionMatrix | Failure | None:
        return read_or_failure(lambda: count(item, masks / f"{item.name}.png", num_classes))

    outcomes = tqdm(read_ahead(attempt, items, readers), total=len(items), desc="score", unit="image", disable=None)
    for item, outcome in zip(items, outcomes, strict=True):
        if outcome is None:
            score.skipped.append(item.name)
        elif isinstance(outcome, Failure):
            score.failures[item.name] = outcome.reason
        else:
            score.confusion += outcome
            score.images += 1
    return score


def table(summary: dict[str, Any]) -> str:
    """Per-class IoU and the means as a Markdown table; classes that occur nowhere are left out."""
    rows = [
        (entry["name"], percent(entry["iou"]), f"{entry['truth_pixels']:,}")
        for entry in summary["classes"]
        if entry["truth_pixels"] or entry["mask_pixels"]
    ]
    rows.append(("mIoU (classes in the truth)", percent(summary["miou"]), ""))
    rows.append(("pixel accuracy", percent(summary["pixel_accuracy"]), ""))
    rows.append(("mean accuracy", percent(summary["mean_accuracy"]), ""))
    return markdown(("class", "IoU %", "truth pixels"), rows)


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with padded columns; all but the first are right-aligned."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = []
    for first, *others in [header, rule, *rows]:
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def percent(value: float | None) -> str:
    """A share as per cent with two decimals."""
    return "-" if value is None else f"{100 * value:.2f}"


def save_summary(summary: dict[str, Any], folder: Path) -> None:
    """Write FOLDER/results.json and FOLDER/results.csv (one line per class, the means last)."""
    write_json(folder / "results.json", summary)
    keys = ["id", "name", "iou", "truth_pixels", "mask_pixels"]
    rows = [[entry[key] for key in keys] for entry in summary["classes"]]
    rows += [["", key, summary[key], "", ""] for key in ("miou", "pixel_accuracy", "mean_accuracy")]
    write_csv(folder / "results.csv", keys, rows)


def write_csv(path: Path, header: list[str], rows: list[list[Any]]) -> None:
    """Write a table atomically; None becomes an empty cell."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    write_bytes(path, text.getvalue().encode())
