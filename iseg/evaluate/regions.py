"""Unsupervised segmentation of a data set: regions of every image, matched to its classes (protocol: matching.py).

Images are cropped to their middle square, resized, and scored at that size.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from iseg.data import open_items
from iseg.data.classes import load_classes
from iseg.data.items import Item
from iseg.data.read import read_label, read_stored
from iseg.errors import InputError
from iseg.evaluate.ahead import read_ahead
from iseg.evaluate.config import Evaluation, computed
from iseg.evaluate.matching import DatasetCounts, MatchedCounts, count_pairs
from iseg.evaluate.score import markdown, percent, write_csv
from iseg.files.export import write_json
from iseg.pipeline import ISeg
from iseg.regions import RegionSettings
from iseg.settings import parse_settings

Pair = tuple[NDArray[np.uint8], NDArray[np.uint8]]


@dataclass(frozen=True)
class RegionEvaluation(Evaluation):
    """Settings of an evaluation of regions; labels of the truth are 0..C - 1, 255 is ignored.

    Attributes:
        regions: {name: settings of `RegionSettings`}: evaluated side by side on the same passes; empty = the default.
        side: of the square that images and truth are resized to, in pixels; scores are counted there.
    """

    regions: dict[str, dict[str, Any]] = field(default_factory=dict)
    side: int = 512

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.side < 8:
            raise InputError(f"side is {self.side}: expected at least 8")

    def ways(self) -> dict[str, RegionSettings]:
        """The settings of every way to find regions. Raises InputError naming what is wrong with one."""
        given = self.regions or {RegionSettings().method: {}}
        return {name: parse_settings(RegionSettings, each, f"regions {name!r}") for name, each in given.items()}


@dataclass
class _Way:
    per_image: MatchedCounts
    once: DatasetCounts
    found: int = 0


def middle_square(image: NDArray[np.uint8], side: int, labels: bool) -> NDArray[np.uint8]:
    """The middle square of the short side, (H, W) or (H, W, 3) -> side x side; bilinear, or nearest for labels."""
    height, width = image.shape[:2]
    short = min(height, width)
    top, left = (height - short) // 2, (width - short) // 2
    square = np.ascontiguousarray(image[top : top + short, left : left + short])
    way = cv2.INTER_NEAREST_EXACT if labels else cv2.INTER_LINEAR
    return cv2.resize(square, (side, side), interpolation=way).astype(np.uint8)


def evaluate_regions(evaluation: RegionEvaluation) -> int:
    """Find, match and score; write OUT/regions.json and OUT/regions.csv, print the table. Returns the exit code.

    Raises InputError for settings, data or a model that cannot be used; single images that cannot are listed, and the
    rest goes on.
    """
    data, ways = evaluation.data, evaluation.ways()
    classes = load_classes(data.classes)
    items = open_items(data.kind, data.split, data.root, data.truth)[: evaluation.limit]
    seg = ISeg.from_pretrained(
        evaluation.model, evaluation.recipe, evaluation.device, evaluation.dtype, evaluation.backbone, evaluation.vae
    )
    totals = {name: _Way(MatchedCounts(len(classes)), DatasetCounts(len(classes))) for name in ways}
    failures: dict[str, str] = {}
    for item, pair in _pairs(evaluation, items, len(classes)):
        try:
            if isinstance(pair, InputError):
                raise pair
            _add(seg, ways, totals, pair, len(classes))
        except InputError as error:
            failures[item.name] = str(error)
    content: dict[str, Any] = {
        "settings": {**computed(evaluation, evaluation.recipe), "side": evaluation.side},
        "images": len(items) - len(failures),
        "failures": failures,
        "classes": [entry.name for entry in classes],
        "ways": [_summary(name, ways[name], total) for name, total in totals.items()],
    }
    out = Path(evaluation.out)
    write_json(out / "regions.json", content)
    keys = ["name", "miou", "accuracy", "regions_per_image"]
    write_csv(out / "regions.csv", keys, [[each[key] for key in keys] for each in content["ways"]])
    print(region_table(content))
    for name, reason in failures.items():
        print(f"error: {name}: {reason}")
    return 1 if failures else 0


def _pairs(
    evaluation: RegionEvaluation, items: Sequence[Item], classes: int
) -> Iterator[tuple[Item, Pair | InputError]]:
    """Every item with its squares (S, S, 3) and (S, S), or with what is wrong with it."""

    def read(item: Item) -> Pair | InputError:
        try:
            if item.label is None:
                raise InputError("has no truth: give data.truth")
            image, truth = read_stored(item.image), read_label(item.label, classes)
            if truth.shape != image.shape[:2]:
                raise InputError(f"{item.label}: is {truth.shape}, its image {image.shape[:2]}")
            return middle_square(image, evaluation.side, False), middle_square(truth, evaluation.side, True)
        except InputError as error:
            return error

    with tqdm(total=len(items), desc="regions", unit="image", disable=None) as bar:
        for item, pair in zip(items, read_ahead(read, items, evaluation.readers), strict=True):
            yield item, pair
            bar.update()


def _add(seg: ISeg, ways: dict[str, RegionSettings], totals: dict[str, _Way], pair: Pair, classes: int) -> None:
    """One image by every way, from one pass."""
    image = seg.set_image(pair[0])
    for name, settings in ways.items():
        found = seg.regions(image=image, **asdict(settings))
        counts = count_pairs(pair[1], found.labels, classes)
        totals[name].per_image.add(counts)
        totals[name].once.add(counts)
        totals[name].found += len(found.scores)


def _summary(name: str, settings: RegionSettings, total: _Way) -> dict[str, Any]:
    used = {**asdict(settings), "entropy": settings.entropy_weight, "iterations": settings.products}
    images = max(1, total.per_image.images)
    once = total.once.matched().summary()
    return {
        "name": name,
        "settings": used,
        "regions_per_image": total.found / images,
        **total.per_image.summary(),
        "matched_once": {key: once[key] for key in ("miou", "accuracy")},
    }


def region_table(content: dict[str, Any]) -> str:
    """The figures of all ways as a Markdown table."""
    rows = [
        (
            each["name"],
            percent(each["miou"]),
            percent(each["accuracy"]),
            f"{each['regions_per_image']:.1f}",
            percent(each["matched_once"]["miou"]),
        )
        for each in content["ways"]
    ]
    return markdown(("regions", "mIoU %", "accuracy %", "regions per image", "mIoU %, matched once (*)"), rows) + (
        f"\n{content['images']} images, scored at {content['settings']['side']} px, Hungarian matching per image."
        "\n(*) once per data set, region numbers by size: not comparable with the per-image figures."
    )
