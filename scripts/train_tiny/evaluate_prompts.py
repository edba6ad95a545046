"""Score every kind of prompt on scenes that the embedded model was never trained on, and on photographs.

    python -m scripts.train_tiny.evaluate_prompts --choose --count 100      # many settings, on the scenes that choose
    python -m scripts.train_tiny.evaluate_prompts --json docs/prompt_results.json  # the chosen ones, other scenes
    python -m scripts.train_tiny.evaluate_prompts --style openmoji ...          # the style never trained on
    python -m scripts.train_tiny.evaluate_prompts --style photographs ...       # $ISEG_DATA, else ../shared/data

Words: mIoU over the classes and the background, classes known. Marks: mean IoU over the objects, an object being a
connected piece of a class that covers at least 2 % of the image; a click is its innermost pixel, a box its tight box, a
line joins its two innermost places.
Passes are recorded once per image and kept as float16 in runs/prompts/ (--keep), so that choosing is cheap.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from iseg import ISeg, kinds, marked, masks, pieces, seeds
from iseg.errors import InputError
from iseg.evaluate.metrics import ConfusionMatrix
from iseg.marks import Box, Marks, Point
from iseg.prompt import ClassWord
from iseg.recipe import Recipe
from iseg.results import Attended
from iseg.solve import refine_seeds, solve, solve_maps
from scripts.bench.report import add_to_json
from scripts.train_tiny.evaluate import FOCUS, TEST_SEED, VALIDATION_SEED
from scripts.train_tiny.scenes import render, scene_rng
from scripts.train_tiny.sprites import read_words

ROOT = Path(__file__).parents[2]
PHOTOGRAPHS = "photographs"
SMALLEST = 0.02  # share of the image that an object covers
MARKOV: dict[str, Any] = {"click_decision": "markov", "upsample_cells": 1.0, "upsample_range": 0.1}
OLD: dict[str, Any] = {
    "outline": "map",
    "upsample": "bilinear",
    "mark_threshold": "fixed",
    "negative_points": "subtract",
    "click_decision": "refine",
    "box_decision": "refine",
    "pieces": "all",
    "clip_box": False,
}


@dataclass
class Case:
    """An image with its truth (H, W) of class ids, and its two passes: of its words, and of the empty prompt."""

    image: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    spoken: Attended
    silent: Attended


@dataclass
class Target:
    """One object: its region (H, W), innermost pixel, second innermost far from it, a pixel outside, tight box."""

    region: NDArray[np.bool_]
    click: Point
    second: Point
    against: Point
    box: Box


def images(style: str, seed: int, count: int) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Images (H, W, 3) with their truth (H, W) of class ids."""
    if style != PHOTOGRAPHS:
        for index in range(count):
            scene = render(scene_rng(seed, index), style=style)
            yield scene.image, scene.mask
        return
    root = Path(os.environ.get("ISEG_DATA") or ROOT.parent / "shared" / "data") / "photos"
    base = root / "VOCdevkit" / "VOC2012" / "SegmentationClassAug"
    for path in sorted(base.glob("*.png"))[:count]:
        picture = base.parent / "JPEGImages" / f"{path.stem}.jpg"
        yield np.array(Image.open(picture).convert("RGB")), np.array(Image.open(path))


def record(model: ISeg, image: NDArray[np.uint8], truth: NDArray[np.uint8], kept: Path | None) -> Case:
    """The passes of an image, read from `kept` where they are there."""
    names = {word.id: word.name for word in read_words()}
    words = [ClassWord(names[k], FOCUS.get(names[k])) for k in np.unique(truth).tolist() if k in names]
    if kept is None or not kept.is_file():
        state = model.set_image(image)
        spoken, silent = (model.attend_image(state, model.recipe, asked) for asked in (words, []))
        if kept is not None:
            assert spoken.token_maps is not None
            kept.parent.mkdir(parents=True, exist_ok=True)
            parts = {"tokens": spoken.token_maps, "spoken": spoken.attention, "silent": silent.attention}
            flat_spans = [len(words), *(index for span in spoken.spans for index in (len(span), *span))]
            stored_parts: dict[str, Any] = {key: value.half().numpy() for key, value in parts.items()}
            np.savez(kept, spans=np.array(flat_spans), **stored_parts)
        return Case(image, truth, spoken, silent)
    with np.load(kept) as stored:
        spans: list[list[int]] = []
        flat = stored["spans"][1:].tolist()
        while flat:
            spans.append(flat[1 : 1 + flat[0]])
            flat = flat[1 + flat[0] :]
        size, (tokens, spoken_, silent_) = image.shape[:2], (
            torch.from_numpy(stored[key]).float() for key in ("tokens", "spoken", "silent"))  # fmt: skip
    spoken = Attended(tokens, spoken_, spans, [word.word for word in words], size, picture=image)
    return Case(image, truth, spoken, Attended(None, silent_, [], [], size, picture=image))


def targets(truth: NDArray[np.uint8]) -> Iterator[Target]:
    """The objects of a truth."""
    ids = [index for index in np.unique(truth).tolist() if index not in (0, 255)]
    for region in pieces.each_piece(truth, ids, SMALLEST):
        first = innermost(region)
        y, x = np.indices(region.shape)
        far = np.hypot(x - first[0], y - first[1])
        rows, columns = np.nonzero(region.any(1))[0], np.nonzero(region.any(0))[0]
        box = (float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))
        inside = pieces.inside_boxes(truth.shape, [box]) > 0
        near_by = inside & ~region & (truth != 255)
        second = region & (far > far[region].max() / 2)
        yield Target(region, first, innermost(second), innermost(near_by) if near_by.any() else (0, 0), box)


def innermost(region: NDArray[np.bool_]) -> Point:
    """The pixel (x, y) of a region (H, W) that is furthest from its border."""
    padded = np.pad(region.astype(np.uint8), 1)
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    return int(x), int(y)


def prompts(target: Target) -> dict[str, tuple[str, Any, list[Point]]]:
    """{prompt: (kind, what is given, negative points)} of one object."""
    return {
        "one click": ("points", [target.click], []),
        "click and negative click": ("points", [target.click], [target.against]),
        "two clicks": ("points", [target.click, target.second], []),
        "line": ("line", [target.click, target.second], []),
        "box": ("box", target.box, []),
    }


def iou(mask: NDArray, region: NDArray[np.bool_], truth: NDArray[np.uint8]) -> float:
    found, known = mask > 0, truth != 255
    return float((found & region & known).sum() / ((found | region) & known).sum())


def box_and(attended: Attended, target: Target, recipe: Recipe, prompt: str) -> NDArray[np.bool_]:
    """The region (H, W) of a box with a click in it, or with a negative one, as on the page."""
    marks = Marks(boxes=[target.box], points=[target.click])
    if prompt == "box and negative click":
        marks = Marks(boxes=[target.box], negative=[target.against])
    refined = None
    if marks.points:
        columns = seeds.points(marks.points, attended.size, attended.grid_size)
        refined = refine_seeds(attended, columns, recipe)[-1, :, 0]
    score = marked.marks_score(attended, marks, recipe, refined)
    assert score is not None
    inside = pieces.inside_boxes(attended.size, marks.boxes) > 0
    return (masks.resize(score[None], attended.size)[0].numpy() >= marked.border_of(recipe)) & inside


class Scores:
    """Scores of several settings on one kind of prompt each; `ways`: {(prompt, name): settings}."""

    def __init__(self, model: ISeg, ways: dict[tuple[str, str], dict[str, Any]]) -> None:
        self.model, self.ways = model, ways
        self.words = {way: ConfusionMatrix(21) for way in ways if way[0] == "words"}
        self.marks: dict[tuple[str, str], list[float]] = {way: [] for way in ways if way[0] != "words"}

    def add(self, case: Case) -> None:
        """Count one image."""
        ids = [word.id for word in read_words() if (case.truth == word.id).any()]
        objects = list(targets(case.truth))
        for way, settings in self.ways.items():
            recipe = self.model.recipe.changed(**settings)
            if way[0] == "words":
                self.words[way].update(case.truth, torch.from_numpy(solve(case.spoken, recipe, class_ids=ids).mask))
                continue
            if way[0] == "several boxes at once":
                self._add_boxes(case, objects, recipe, way)
                continue
            if way[0].startswith("box and"):
                self.marks[way] += [
                    iou(box_and(case.silent, each, recipe, way[0]), each.region, case.truth) for each in objects
                ]
                continue
            for target in objects:
                kind, given, negative = prompts(target)[way[0]]
                size, side = case.silent.size, case.silent.grid_size
                first = kinds.first_maps(kind, given, negative, None, size, side)
                self.marks[way].append(
                    iou(solve_maps(case.silent, first, recipe, kind).mask, target.region, case.truth)
                )

    def _add_boxes(self, case: Case, objects: list[Target], recipe: Any, way: tuple[str, str]) -> None:
        if not objects:
            return
        first = kinds.first_maps("boxes", [each.box for each in objects], [], None, case.silent.size,
                                 case.silent.grid_size)  # fmt: skip
        mask = solve_maps(case.silent, first, recipe, "boxes").mask
        self.marks[way] += [iou(mask == k, each.region, case.truth) for k, each in enumerate(objects, 1)]

    def result(self) -> dict[str, dict[str, float]]:
        """{prompt: {name: percent}}."""
        table: dict[str, dict[str, float]] = {}
        for way, matrix in self.words.items():
            table.setdefault(way[0], {})[way[1]] = round(100 * float(matrix.mean_iou()), 1)
        for way, values in self.marks.items():
            table.setdefault(way[0], {})[way[1]] = round(100 * float(np.mean(values)), 1)
        return table


def reported() -> dict[tuple[str, str], dict[str, Any]]:
    """The settings that are reported: the method's own decision, and the model's recipe."""
    all_kinds = ("words", "one click", "click and negative click", "two clicks", "line", "box", "several boxes at once")
    ways = {(kind, name): settings for kind in all_kinds for name, settings in (("refined", OLD), ("recipe", {}))}
    return ways | {(f"box and {further}", "recipe"): {} for further in ("click", "negative click")}


def choices() -> dict[tuple[str, str], dict[str, Any]]:
    """Many settings, to choose from."""
    ways = reported()
    ways |= {(kind, "Markov maps"): MARKOV for kind in ("one click", "click and negative click", "two clicks")}
    for cells, colours in ((1.0, 0.1), (1.5, 0.07), (2.0, 0.07), (1.5, 0.1)):
        near = {"upsample_cells": cells, "upsample_range": colours}
        for kind in ("words", "one click", "box"):
            ways[kind, f"bilateral {cells} {colours}"] = near
    for size in (128, 256):
        for kind in ("words", "one click", "box"):
            ways[kind, f"decided at {size} pixels"] = {"decision_size": size}
    for entropy, iterations in ((0.0, 1), (0.3, 1), (1.0, 2)):
        for kind in ("words", "one click"):
            ways[kind, f"entropy {entropy}, iterations {iterations}"] = {"entropy": entropy, "iterations": iterations}
    ways["one click", "fixed threshold"] = {"mark_threshold": "fixed"}
    ways["one click", "all pieces"] = {"pieces": "all"}
    ways["one click", "bilinear"] = {"upsample": "bilinear"}
    ways["click and negative click", "subtracted"] = {"negative_points": "subtract"}
    ways["box", "refined, clipped"] = {**OLD, "clip_box": True}
    ways["box", "refined, bilateral, Otsu, clipped"] = {"box_decision": "refine"}
    ways["box", "largest piece"] = {"pieces": "largest"}
    return ways


def print_table(table: dict[str, dict[str, float]]) -> None:
    for prompt, row in table.items():
        print(prompt)
        for name, value in row.items():
            print(f"  {name:<36}{value:6.1f}")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tiny", help="a backbone, or a folder with the tiny model's layout")
    parser.add_argument("--size", type=int, default=None, help="side of the square the model looks at, in pixels")
    parser.add_argument("--looks", default=None, help="`looks` of the recipe in place of the model's, e.g. 1,0.75")
    parser.add_argument("--style", default="seen", help="seen, openmoji, ... or photographs")
    parser.add_argument("--count", type=int, default=500, help="images")
    parser.add_argument("--choose", action="store_true", help="many settings, on the scenes that choose")
    parser.add_argument("--keep", action="store_true", help="keep the recorded passes in runs/prompts/")
    parser.add_argument("--json", type=Path, default=None, help="file to add the result to")
    options = parser.parse_args(arguments)
    torch.set_grad_enabled(False)
    try:
        model = ISeg.from_pretrained(options.model, backbone="tiny", size=options.size)
        if options.looks:
            model.recipe = model.recipe.changed(looks=yaml.safe_load(f"[{options.looks}]"))
        seed = VALIDATION_SEED if options.choose else TEST_SEED
        looks = "-".join(map(str, model.backbone.row.look_sizes(model.recipe)))
        folder = ROOT / "runs" / "prompts" / f"{options.style}-{seed}-{looks}"  # other looks, other passes
        scores = Scores(model, choices() if options.choose else reported())
        source = images(options.style, seed, options.count)
        done = 0
        for index, (image, truth) in enumerate(tqdm(source, total=options.count, desc=options.style, disable=None)):
            scores.add(record(model, image, truth, folder / f"{index}.npz" if options.keep else None))
            done += 1
    except (InputError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if not done:
        print(f"error: no image of style {options.style} was found", file=sys.stderr)
        return 2
    table = scores.result()
    print(f"{done} images, style {options.style}, seed {seed}; percent")
    print_table(table)
    if options.json:
        of_marks = next((len(values) for values in scores.marks.values()), 0)
        add_to_json(options.json, options.style, {"images": done, "objects": of_marks, "seed": seed, **table})
    return 0


if __name__ == "__main__":
    sys.exit(main())
