"""`decide`: masks from saved scores, without the model: thresholds, a band left out, steps that follow the picture."""

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from iseg.data.classes import ids_by_name, load_classes
from iseg.data.folder import SUFFIXES
from iseg.data.items import IGNORE
from iseg.data.read import read_label, read_stored
from iseg.errors import InputError, echo
from iseg.evaluate.ahead import read_ahead
from iseg.evaluate.metrics import ConfusionMatrix
from iseg.evaluate.report import sum_up
from iseg.evaluate.score import markdown, percent, write_csv
from iseg.evaluate.trouble import UNREADABLE, reason
from iseg.files.claim import claim
from iseg.files.export import write_image, write_json, write_mask
from iseg.files.images import read_image
from iseg.masks import Background
from iseg.polish.decision import Band, apply_band, decide_again, evidence, margins, parse_band
from iseg.polish.steps import STEPS, check_steps, polish
from iseg.settings import read_yaml

PLAIN = "plain"


@dataclass(frozen=True)
class Row:
    """One way to decide: its name, its folder below OUT, its steps, what it leaves undecided (None = nothing)."""

    name: str
    folder: str
    steps: tuple[str, ...]
    band: Band | None


@dataclass
class RowScore:
    """Counts of a row over the images with truth.

    Attributes:
        all: before anything was left undecided.
        kept: over the decided pixels.
        pixels, undecided: of the masks.
    """

    all: ConfusionMatrix
    kept: ConfusionMatrix
    pixels: int = 0
    undecided: int = 0

    @classmethod
    def empty(cls, num_classes: int) -> "RowScore":
        return cls(ConfusionMatrix(num_classes), ConfusionMatrix(num_classes))


@dataclass
class Decision:
    """All that `decide` is asked.

    Attributes:
        scores: folder of NAME.npz; out: of the results; images, truth: folders of NAME.* pictures and NAME.png masks.
        classes: {name: label}; background: see `label_map`; rescale: see there.
        rows: the ways to decide.
    """

    scores: Path
    out: Path
    images: Path | None
    truth: Path | None
    classes: dict[str, int]
    background: Background
    rescale: bool
    rows: list[Row]
    totals: dict[str, RowScore] = field(default_factory=dict)

    @property
    def num_classes(self) -> int:
        return 1 + max(self.classes.values())


def decide_command(arguments: list[str], prog: str) -> int:
    """`decide`: see `--help`. Returns the exit code: 0, or 1 if single images failed."""
    decision, threads = read_arguments(arguments, prog)
    names = sorted(path.stem for path in decision.scores.glob("*.npz"))
    if not names:
        raise InputError(f"{decision.scores}: holds no NAME.npz: expected the scores of a run with --save_scores true")
    computed = {
        "background": decision.background,
        "rows": {
            row.name: {"steps": list(row.steps), "ignore": row.band and asdict(row.band)} for row in decision.rows
        },
    }
    how = {"scores": str(decision.scores)}

    def results() -> int:
        return sum(1 for _ in decision.out.glob("*/masks/*.png"))

    lock, _ = claim(decision.out / "config.yaml", computed, how, results, "masks")
    with lock:
        failures = decide_all(decision, names, threads)
        report(decision, len(names) - len(failures))
    return sum_up(failures, len(names))


def read_arguments(arguments: list[str], prog: str) -> tuple[Decision, int]:
    """What is asked, and the threads. Raises InputError for what cannot be used."""
    parser = argparse.ArgumentParser(prog=prog, description="Decide saved scores again.", allow_abbrev=False)
    parser.add_argument(
        "--scores", type=Path, required=True, help="folder of NAME.npz that a run with save_scores left"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the results, one folder per row")
    parser.add_argument("--background", help='"power" or a threshold in 0..1; default: that of the run')
    parser.add_argument("--ignore", help="LOW,HIGH: pixels whose best score lies between become 255; of the power rule "
                        "and of polished scores MARGIN: those whose best two are closer")  # fmt: skip
    parser.add_argument("--refine", action="append", default=[], metavar="STEP[,STEP]",
                        help=f"steps in their order, one more row; may be repeated: {', '.join(STEPS)}")  # fmt: skip
    parser.add_argument("--images", type=Path, help="folder of the pictures, which the steps look at")
    parser.add_argument("--truth", type=Path, help="folder of true NAME.png, to score against")
    parser.add_argument("--classes", default="voc20", help="class file: voc20, coco80, context59 or a path")
    parser.add_argument("--threads", type=int, default=2, help="images at once")
    given = parser.parse_args(arguments)
    for name in ("scores", "images", "truth"):
        folder = getattr(given, name)
        if folder is not None and not folder.is_dir():
            raise InputError(f"{folder}: no such folder: expected one of {name}")
    if given.refine and given.images is None:
        raise InputError("refine looks at the pictures: give --images FOLDER")
    if given.threads < 1:
        raise InputError(f"threads is {given.threads}: expected at least 1")
    recipe = run_recipe(given.scores)
    background = parse_background(recipe.get("background", "power") if given.background is None else given.background)
    rows = make_rows(given.refine, given.ignore, background)
    ids = ids_by_name(load_classes(given.classes))
    rescale = recipe.get("working_size", 512) is not None
    return Decision(given.scores, given.out, given.images, given.truth, ids, background, rescale, rows), given.threads


def run_recipe(scores: Path) -> dict[str, Any]:
    """The recipe of the run that left the scores; {} where its settings do not lie beside them."""
    path = scores.parent / "config.yaml"
    return (read_yaml(path).get("computed") or {}).get("recipe") or {} if path.is_file() else {}


def parse_background(value: Any) -> Background:
    """ "power" or a number in [0, 1]. Raises InputError for anything else."""
    if value == "power":
        return "power"
    try:
        threshold = float(value)
    except (TypeError, ValueError):
        threshold = -1.0
    if not 0 <= threshold <= 1:
        raise InputError(f"background is {echo(value)}: expected power or a threshold in 0..1")
    return threshold


def make_rows(refine: Sequence[str], ignore: str | None, background: Background) -> list[Row]:
    """The plain decision first, then one row for each list of steps."""
    rows = []
    for text in ["", *refine]:
        steps = tuple(part.strip() for part in text.split(",")) if text else ()
        check_steps(steps)
        # a band of scores says nothing about polished ones: those rows are told so, the plain one takes either
        band = None if ignore is None else parse_band(ignore, background, bool(steps))
        rows.append(Row(", ".join(steps) or PLAIN, "-".join(steps) or PLAIN, steps, band))
    twice = [row.name for row in rows if sum(other.name == row.name for other in rows) > 1]
    if twice:
        raise InputError(f"refine {twice[0]} was given twice: expected different steps")
    return rows


def decide_all(decision: Decision, names: Sequence[str], threads: int) -> dict[str, str]:
    """Write the masks of every row; returns {image: reason} of those that failed."""
    decision.totals = {row.name: RowScore.empty(decision.num_classes) for row in decision.rows}
    failures: dict[str, str] = {}

    def attempt(name: str) -> dict[str, RowScore] | str:
        try:
            return decide_one(decision, name)
        except UNREADABLE as error:
            return reason(error)

    outcomes = tqdm(read_ahead(attempt, names, threads), total=len(names), desc="decide", unit="image", disable=None)
    for name, outcome in zip(names, outcomes, strict=True):
        if isinstance(outcome, str):
            failures[name] = outcome
            continue
        for row, counts in outcome.items():
            total = decision.totals[row]
            total.all += counts.all
            total.kept += counts.kept
            total.pixels += counts.pixels
            total.undecided += counts.undecided
    return failures


@torch.inference_mode()
def decide_one(decision: Decision, name: str) -> dict[str, RowScore]:
    """Write one image's masks, weights and sidecars; returns its counts by row."""
    scores, words = read_scores(decision.scores / f"{name}.npz")
    unknown = [word for word in words if word not in decision.classes]
    if unknown:
        raise InputError(f"{name}.npz has class {echo(unknown[0])}: expected classes of the class file (--classes)")
    ids = [decision.classes[word] for word in words]
    truth = None if decision.truth is None else read_label(decision.truth / f"{name}.png", decision.num_classes)
    if truth is not None and truth.shape != scores.shape[1:]:
        raise InputError(f"{name}: the scores are {scores.shape[2]}x{scores.shape[1]}, the truth "
                         f"{truth.shape[1]}x{truth.shape[0]}")  # fmt: skip
    needed = any(row.steps for row in decision.rows)
    picture = read_picture(decision, name, tuple(scores.shape[1:])) if needed else None
    counts = {}
    for row in decision.rows:
        if len(ids):
            maps = evidence(scores, decision.background)
            maps = polish(maps, picture, row.steps) if picture is not None and row.steps else maps
            labels = decide_again(scores, maps, ids, decision.background, bool(row.steps), decision.rescale)
            sure = margins(maps)
        else:  # nothing was asked for: background, for certain
            labels = torch.zeros(tuple(scores.shape[1:]), dtype=torch.uint8)
            sure = torch.ones(labels.shape)
        kept = labels if row.band is None else apply_band(labels, scores, sure, row.band)
        save_row(decision.out / row.folder, name, kept.numpy(), sure.numpy(), dict(zip(words, ids, strict=True)))
        counts[row.name] = score_row(truth, labels.numpy(), kept.numpy(), decision.num_classes)
    return counts


def read_scores(path: Path) -> tuple[torch.Tensor, list[str]]:
    """Scores (K, H, W) float32 and the K names of a file of `write_scores`. Raises InputError for another file."""
    try:
        with np.load(path, allow_pickle=False) as content:
            scores, words = content["scores"], [str(word) for word in content["names"]]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path}: not readable as scores: {reason(error)}") from None
    if scores.ndim != 3 or len(scores) != len(words) or scores.dtype.kind != "f":
        raise InputError(f"{path}: holds {scores.dtype} of shape {scores.shape} for {len(words)} names: "
                         "expected (K, H, W) for K names")  # fmt: skip
    return torch.from_numpy(scores.astype(np.float32)), words


def read_picture(decision: Decision, name: str, size: tuple[int, ...]) -> torch.Tensor:
    """The picture (3, H, W) in [0, 1] that the scores were made for, as stored or turned upright."""
    assert decision.images is not None
    found = [path for path in (decision.images / f"{name}{suffix}" for suffix in SUFFIXES) if path.is_file()]
    if not found:
        raise InputError(f"{decision.images}: holds no picture {name}.jpg, .png, ...")
    picture = read_stored(found[0])
    if picture.shape[:2] != size:
        picture = read_image(found[0])
    if picture.shape[:2] != size:
        raise InputError(f"{found[0]}: is {picture.shape[1]}x{picture.shape[0]}, its scores {size[1]}x{size[0]}")
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 255


def save_row(folder: Path, name: str, mask: NDArray[np.uint8], sure: NDArray, classes: dict[str, int]) -> None:
    """Write confidence/NAME.png (grey, 255 = sure), confidence/NAME.json and, last, masks/NAME.png."""
    regions = {"background": 0, **classes}
    sidecar = {
        word: {"pixels": int(region.sum()), "confidence": float(sure[region].mean()) if region.any() else None}
        for word, region in ((word, mask == label) for word, label in regions.items())
    }
    undecided = float((mask == IGNORE).mean())
    write_image(folder / "confidence" / f"{name}.png", np.rint(sure * 255).astype(np.uint8))
    write_json(folder / "confidence" / f"{name}.json", {"classes": sidecar, "undecided": undecided})
    write_mask(folder / "masks" / f"{name}.png", mask)


def score_row(
    truth: NDArray[np.uint8] | None, labels: NDArray[np.uint8], kept: NDArray[np.uint8], num_classes: int
) -> RowScore:
    """Counts of one image."""
    counts = RowScore(
        ConfusionMatrix(num_classes), ConfusionMatrix(num_classes), kept.size, int((kept == IGNORE).sum())
    )
    if truth is not None:
        counts.all.update(truth, labels)
        counts.kept.update(np.where(kept == IGNORE, np.uint8(IGNORE), truth), labels)
    return counts


def report(decision: Decision, images: int) -> None:
    """Print the table and write OUT/decisions.json and OUT/decisions.csv."""
    rows: list[dict[str, Any]] = []
    for row in decision.rows:
        total = decision.totals[row.name]
        known = decision.truth is not None and total.pixels
        rows.append({
            "name": row.name,
            "folder": row.folder,
            "images": images,
            "miou": total.all.mean_iou() if known else None,
            "pixel_accuracy": total.all.pixel_accuracy() if known else None,
            "undecided": total.undecided / max(1, total.pixels),
            "miou_decided": total.kept.mean_iou() if known and total.undecided < total.pixels else None,
        })  # fmt: skip
    write_json(decision.out / "decisions.json", rows)
    write_csv(decision.out / "decisions.csv", list(rows[0]), [list(row.values()) for row in rows])
    keys = ("miou", "pixel_accuracy", "undecided", "miou_decided")
    print(markdown(("decision", "mIoU %", "pixel accuracy %", "undecided %", "mIoU % of the decided pixels"),
                   [(row["name"], *(percent(row[key]) for key in keys)) for row in rows]))  # fmt: skip
    print(f"results: {decision.out}")
