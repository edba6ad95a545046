"""Unsupervised segmentation of a data set: regions of every image, matched to its classes (protocol: matching.py).

Images are cropped to their middle square, resized, and scored at that size.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from iseg.data.items import Item
from iseg.errors import InputError
from iseg.evaluate.config import Evaluation, computed
from iseg.evaluate.dataset_run import Run, begin_shard, finish_shard
from iseg.evaluate.loading import Outcome
from iseg.evaluate.matching import Counts, DatasetCounts, MatchedCounts
from iseg.evaluate.opening import describe, start
from iseg.evaluate.outputs import CONFIG
from iseg.evaluate.records import make_records
from iseg.evaluate.region_counts import find_all, read_counts
from iseg.evaluate.report import sum_up
from iseg.evaluate.score import markdown, percent, write_csv
from iseg.evaluate.trouble import logged
from iseg.files.claim import FolderLock, claim
from iseg.files.export import write_json
from iseg.regions import RegionSettings
from iseg.settings import parse_settings
from iseg.work.trouble import Failure

COUNTS = "counts"


@dataclass(frozen=True)
class RegionEvaluation(Evaluation):
    """Settings of an evaluation of regions; labels of the truth are 0..C - 1, 255 is ignored.

    Attributes:
        regions: {name: settings of `RegionSettings`}: evaluated side by side on the same passes; empty = the default.
        side: of the square that images and truth are resized to, in pixels; scores are counted there.
    """

    regions: dict[str, dict[str, Any]] = field(default_factory=dict)
    side: int = 512
    entry: ClassVar[str] = "regions"

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

    def add(self, counts: Counts, regions: int) -> None:
        """Add an image."""
        self.per_image.add(counts)
        self.once.add(counts)
        self.found += regions


def evaluate_regions(evaluation: RegionEvaluation) -> int:
    """Find and match what is missing, then score all; write OUT/results.json and OUT/results.csv, print the table.

    OUT/counts/NAME.json is the checkpoint: pixels by class and region of every way. Under `accelerate launch` the
    images are dealt to the processes; process 0 prints and scores. Returns the exit code.

    Raises InputError for settings, data, model or output folder that cannot be used; single images that cannot are
    listed, and the rest goes on. An error of the code is logged in OUT and raised as CodeError.
    """
    ways, out = evaluation.ways(), Path(evaluation.out)
    run = start(evaluation)
    with ExitStack() as held, logged(out):
        lock = hold(run, evaluation, ways)
        held.callback(lock.close)
        begin_shard(run)

        def work(mine: Sequence[Item]) -> Iterator[dict[str, Any] | Failure]:
            return find_all(run, evaluation.side, ways, mine)

        failures = make_records(run, out / COUNTS, work, "cut into regions", "regions")
        code = 0
        if run.state.is_main_process and evaluation.part is not None:
            code = finish_shard(run, Outcome(failures))
        elif run.state.is_main_process:
            code = report_regions(evaluation, run, failures)
        run.state.wait_for_everyone()
    return code


def hold(run: Run, evaluation: RegionEvaluation, ways: dict[str, RegionSettings]) -> FolderLock:
    """Write OUT/config.yaml, or take up an earlier run with the same settings. InputError with the difference."""
    inputs, how = describe(run)
    depends = {
        **computed(evaluation, evaluation.recipe),
        **inputs,
        "side": evaluation.side,
        "regions": {name: used(settings) for name, settings in ways.items()},
    }
    out = Path(evaluation.out)

    def counted() -> int:
        return sum(1 for _ in (out / COUNTS).glob("*.json"))

    return claim(out / CONFIG, depends, how, counted, "counts", {"dtype": "precision"})[0]


def report_regions(evaluation: RegionEvaluation, run: Run, failures: dict[str, str]) -> int:
    """Match and add up what was recorded, write and print it. Returns the exit code."""
    ways, out, classes = evaluation.ways(), Path(evaluation.out), len(run.classes)
    totals = {name: _Way(MatchedCounts(classes), DatasetCounts(classes)) for name in ways}
    for item in run.items:
        if item.name not in failures:
            for name, (counts, regions) in read_counts(out / COUNTS / f"{item.name}.json", classes).items():
                totals[name].add(counts, regions)
    content: dict[str, Any] = {
        "settings": {**computed(evaluation, evaluation.recipe), "side": evaluation.side},
        "images": len(run.items) - len(failures),
        "failures": failures,
        "classes": [entry.name for entry in run.classes],
        "ways": [_summary(name, ways[name], total) for name, total in totals.items()],
    }
    write_json(out / "results.json", content)
    keys = ["name", "miou", "accuracy", "regions_per_image"]
    write_csv(out / "results.csv", keys, [[each[key] for key in keys] for each in content["ways"]])
    print(region_table(content))
    print(f"results: {evaluation.out}")
    return sum_up(failures, len(run.items))


def used(settings: RegionSettings) -> dict[str, Any]:
    """The settings of a way, the method's own numbers in place of what was left to it."""
    return {
        **asdict(settings),
        "entropy": settings.entropy_weight,
        "iterations": settings.products,
        "every_layer": settings.reads_every_layer,
    }


def _summary(name: str, settings: RegionSettings, total: _Way) -> dict[str, Any]:
    images = max(1, total.per_image.images)
    once = total.once.matched().summary()
    return {
        "name": name,
        "settings": used(settings),
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
