"""Masks of saved scores, image by image: each row's mask, how sure every pixel is, and the counts against truth."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from iseg.ahead import read_ahead
from iseg.data.folder import SUFFIXES
from iseg.data.items import IGNORE
from iseg.data.read import read_label, read_stored
from iseg.errors import InputError, echo
from iseg.evaluate.metrics import ConfusionMatrix
from iseg.files.export import write_image, write_json, write_mask
from iseg.files.images import read_image
from iseg.masks import Background
from iseg.polish.decision import Band, apply_band, decide_again, evidence, margins
from iseg.polish.steps import polish
from iseg.work.attempt import reason
from iseg.work.trouble import UNREADABLE


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
        kept = labels if row.band is None or not ids else apply_band(labels, scores, sure, row.band)
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
