"""Regions of an image against its truth: the record of one image, made and read."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from iseg.ahead import read_ahead
from iseg.data.items import Item
from iseg.data.read import read_label, read_stored
from iseg.errors import InputError
from iseg.evaluate.dataset_run import Run
from iseg.evaluate.matching import Counts, count_pairs
from iseg.pipeline import ISeg
from iseg.regions import RegionSettings
from iseg.work.trouble import Failure, read_or_failure
from iseg.work.worker import Worker

Pair = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def middle_square(image: NDArray[np.uint8], side: int, labels: bool) -> NDArray[np.uint8]:
    """The middle square of the short side, (H, W) or (H, W, 3) -> side x side; bilinear, or nearest for labels."""
    height, width = image.shape[:2]
    short = min(height, width)
    top, left = (height - short) // 2, (width - short) // 2
    square = np.ascontiguousarray(image[top : top + short, left : left + short])
    way = cv2.INTER_NEAREST_EXACT if labels else cv2.INTER_LINEAR
    return cv2.resize(square, (side, side), interpolation=way).astype(np.uint8)


def find_all(
    run: Run, side: int, ways: dict[str, RegionSettings], items: Sequence[Item]
) -> Iterator[dict[str, Any] | Failure]:
    """{way: counts as [class, region, pixels], regions} of every item, or what is wrong with it."""
    seg = run.load_model()

    def read(item: Item) -> Pair:
        if item.label is None:
            raise InputError("has no truth: give data.truth")
        image, truth = read_stored(item.image), read_label(item.label, len(run.classes))
        if truth.shape != image.shape[:2]:
            raise InputError(f"{item.label}: is {truth.shape}, its image {image.shape[:2]}")
        return middle_square(image, side, False), middle_square(truth, side, True)

    def find(_: ISeg, pairs: Sequence[Pair]) -> list[dict[str, Any]]:
        return [_find(seg, ways, pair, len(run.classes)) for pair in pairs]

    worker = Worker(lambda: seg, find)
    for pair in read_ahead(lambda item: read_or_failure(lambda: read(item)), items, run.evaluation.readers):
        yield from [pair] if isinstance(pair, Failure) else (made for _, made in worker.each([pair]))


def _find(seg: ISeg, ways: dict[str, RegionSettings], pair: Pair, classes: int) -> dict[str, Any]:
    """One image by every way, from one pass (merging has its own)."""
    image, record = seg.set_image(pair[0]), {}
    for name, settings in ways.items():
        found = seg.regions(image=image, **asdict(settings))
        counts = count_pairs(pair[1], found.labels, classes)
        some = [[int(k), int(r), int(counts[k, r])] for k, r in zip(*counts.nonzero(), strict=True)]
        record[name] = {"counts": some, "regions": len(found.scores)}
    return record


def read_counts(path: Path, classes: int) -> dict[str, tuple[Counts, int]]:
    """{way: pixels by class and region (C, max(C, R)), R} of a record. InputError for a file that is none."""
    try:
        found = {}
        for name, each in json.loads(path.read_text(encoding="utf-8")).items():
            counts = np.zeros((classes, max(classes, int(each["regions"]))), np.int64)
            for k, r, pixels in each["counts"]:
                counts[k, r] = pixels
            found[name] = counts, int(each["regions"])
        return found
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise InputError(f"{path}: not readable as counts of an image: remove it to have it made again") from None
