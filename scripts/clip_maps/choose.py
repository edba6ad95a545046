"""Which way of joining is best: every combination on scenes that nothing else is measured on.

    python -m scripts.clip_maps.choose [--scenes 100] [--out runs/clip_maps]

Prints the best combinations and writes OUT/choice.json; the first belongs into configs/ovs/demo.yaml. Recorded passes
are kept in OUT/records, so that a second run costs seconds.
"""

import argparse
import itertools
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm

from iseg import ISeg
from iseg.clip_maps import load_clip_maps
from iseg.clip_maps.joined import candidates, decide_joined, joined_steps
from iseg.clip_maps.settings import ClipMaps
from iseg.clip_maps.source import ClipSource
from iseg.errors import InputError
from iseg.evaluate.metrics import ConfusionMatrix
from iseg.evaluate.score import markdown, percent
from iseg.files.export import atomic_path, write_json
from iseg.prompt import class_words
from iseg.recipe import Recipe
from iseg.results import Attended
from iseg.tagging.quality import quality
from scripts.train_clip.data import class_names
from scripts.train_tiny.make_set import SIZES
from scripts.train_tiny.scenes import Scene, render, scene_rng

SEED = 9301  # the demo's scenes are of 11, the small CLIP's of 9100..9203
CANDIDATES = (0.2,)
GRID: dict[str, tuple[Any, ...]] = {
    "join": ("times", "plus"),
    "cross_weight": (0.25, 0.5),
    "iterations": (2, 3),
    "agreement_threshold": (0.24, 0.28, 0.32),
    "evidence_weight": (0.0, 1.0),
}
SHOWN = 10
FINAL = 3  # of the best, tried along the picture's edges, too: that takes ten times as long


@dataclass(frozen=True)
class Recorded:
    """A scene: its truth (H, W) and words, the coarse maps (F, h, w), and the pass of the classes asked for."""

    truth: NDArray[np.uint8]
    words: list[int]
    coarse: Tensor
    asked: list[int]
    attended: Attended | None


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=100)
    parser.add_argument("--out", type=Path, default=Path("runs/clip_maps"))
    options = parser.parse_args(arguments)
    try:
        choose(options.scenes, options.out)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def choose(scenes: int, out: Path) -> None:
    """Measure the grid, print its best, and write all of it."""
    settings = load_clip_maps("ovs/demo")
    found: list[dict[str, Any]] = []
    seg = ISeg.from_pretrained("tiny", device="cpu")
    for candidate in CANDIDATES:
        chosen = replace(settings, candidate=candidate)
        records = list(recorded(seg, chosen, scenes, folder(out, candidate)))
        combinations = list(itertools.product(*GRID.values()))
        for values in tqdm(combinations, desc=f"candidates from {candidate:g}", disable=None):
            changes = dict(zip(GRID, values, strict=True))
            changes |= {"candidate": candidate, "upsample": "bilinear"}
            found.append({**changes, **measure(records, replace(chosen, **changes), seg.recipe)})
    found.sort(key=lambda row: -row["miou"])
    for row in tqdm(found[:FINAL], desc="along edges", disable=None):
        changes = {key: row[key] for key in ("candidate", *GRID)} | {"upsample": "joint_bilateral"}
        records = list(
            recorded(seg, replace(settings, candidate=row["candidate"]), scenes, folder(out, row["candidate"]))
        )
        found.append({**changes, **measure(records, replace(settings, **changes), seg.recipe)})
    found.sort(key=lambda row: -row["miou"])
    write_json(out / "choice.json", {"scenes": scenes, "seed": SEED, "combinations": found})
    keys = ("candidate", *GRID, "upsample")
    rows = [(*(str(row[key]) for key in keys), *(percent(row[key]) for key in ("precision", "recall", "miou")))
            for row in found[:SHOWN]]  # fmt: skip
    print(markdown((*keys, "precision %", "recall %", "mIoU %"), rows))


class Figures:
    """mIoU, and precision and recall of presence, summed up over images of the 20 words."""

    def __init__(self) -> None:
        self.matrix = ConfusionMatrix(21)
        self.truth: dict[str, list[int]] = {}
        self.alive: dict[str, list[int]] = {}

    def add(self, truth: NDArray[np.uint8], words: list[int], mask: NDArray[np.uint8], alive: list[int]) -> None:
        """Count an image: its truth and mask (H, W), the words that are there and those that were found."""
        self.matrix.update(truth, mask)
        number = str(len(self.truth))
        self.truth[number], self.alive[number] = words, alive

    def shares(self) -> dict[str, float]:
        """The figures in [0, 1]."""
        shares = quality(self.truth, self.alive, class_names())
        precision, recall = shares["precision"] or 0.0, shares["recall"] or 0.0
        return {"miou": self.matrix.mean_iou(), "precision": precision, "recall": recall}


def scene_of(index: int) -> Scene:
    """A scene of the choice."""
    rng = scene_rng(SEED, index)
    return render(rng, SIZES[int(rng.integers(len(SIZES)))])


def folder(out: Path, candidate: float) -> Path:
    """Where what was recorded lies."""
    return out / "records" / f"candidate-{candidate:g}"


def measure(records: list[Recorded], settings: ClipMaps, recipe: Recipe) -> dict[str, float]:
    """mIoU, and precision and recall of presence, in [0, 1]."""
    figures = Figures()
    for one in records:
        mask, kept = np.zeros(one.truth.shape, np.uint8), []
        if one.attended is not None:
            steps = joined_steps(one.attended, one.coarse, one.asked, settings, recipe)
            found = decide_joined(one.attended, steps, one.coarse, one.asked, settings, recipe, list(range(1, 21)))
            mask, kept = found.result.mask, found.alive
        figures.add(one.truth, one.words, mask, kept)
    return figures.shares()


def recorded(seg: ISeg, settings: ClipMaps, scenes: int, place: Path) -> Iterator[Recorded]:
    """Scenes with what was recorded of them, from the folder where it lies."""
    source, names = ClipSource.from_pretrained(settings, device="cpu"), class_names()
    for index in tqdm(range(scenes), desc="record", disable=None):
        scene = scene_of(index)
        path = place / f"{index}.safetensors"
        if not path.is_file():
            coarse = source.maps(scene.image, names)
            asked = candidates(coarse, settings)
            attended = None
            if asked:
                words = class_words([names[position] for position in asked])
                attended = seg.attend_image(seg.set_image(scene.image), seg.recipe, words)
            _save(path, coarse, asked, attended)
        coarse, asked, attended = _load(path, (scene.mask.shape[0], scene.mask.shape[1]))
        for part in [attended, *attended.further] if attended is not None else []:
            part.picture = scene.image
        yield Recorded(scene.mask, [names.index(word) for word in scene.words], coarse, asked, attended)


def _save(path: Path, coarse: Tensor, asked: list[int], attended: Attended | None) -> None:
    parts = [attended, *attended.further] if attended is not None else []
    tensors, texts = {"coarse": coarse.contiguous()}, []
    for number, part in enumerate(parts):
        assert part.token_maps is not None  # made with classes
        tensors |= {f"{number}.tokens": part.token_maps.contiguous(), f"{number}.self": part.attention.half()}
        texts.append({"spans": part.spans, "names": part.names})
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, {"asked": json.dumps(asked), "parts": json.dumps(texts)})


def _load(path: Path, size: tuple[int, int]) -> tuple[Tensor, list[int], Attended | None]:
    with safe_open(path, "pt") as file:
        about = file.metadata()
        parts = [Attended(file.get_tensor(f"{number}.tokens"), file.get_tensor(f"{number}.self").float(),
                          text["spans"], text["names"], size)
                 for number, text in enumerate(json.loads(about["parts"]))]  # fmt: skip
        coarse = file.get_tensor("coarse")
    if parts:
        parts[0].further = parts[1:]
    return coarse, json.loads(about["asked"]), parts[0] if parts else None


if __name__ == "__main__":
    sys.exit(main())
