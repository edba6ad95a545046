"""Score the embedded model on scenes that it was never trained on, through `iseg.ISeg`.

    python -m scripts.train_tiny.evaluate --choose             # table of settings on the 200 scenes that choose them
    python -m scripts.train_tiny.evaluate                      # 500 other scenes: the figures of the model card
    python -m scripts.train_tiny.evaluate --style openmoji     # the same in the style never trained on (fetch it first)

Classes are known (those in the scene); the score is the mean over the classes and the background of the intersection
over union, in percent, for each number of refinement iterations (0 = raw cross-attention). `--json FILE` adds the
result to FILE under the name of the style.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from tqdm import tqdm

from iseg import ISeg
from iseg.errors import InputError
from iseg.evaluate.metrics import ConfusionMatrix
from iseg.masks import label_map, score_maps
from iseg.prompt import ClassWord
from iseg.solve import refine_classes
from scripts.bench.report import add_to_json
from scripts.train_tiny.make_set import SIZES
from scripts.train_tiny.scenes import SQUARE, render, scene_rng
from scripts.train_tiny.sprites import read_words

VALIDATION_SEED, TEST_SEED = 2, 3  # training scenes are of seed 1
ENTROPIES = (0.0, 0.1, 0.3, 1.0, 2.0)
FOCUS = {"potted plant": "plant", "tv monitor": "monitor"}


def curves(
    model: ISeg, style: str, seed: int, count: int, entropies: Sequence[float], iterations: int, varied: bool = False
) -> dict[float, list[ConfusionMatrix]]:
    """Confusion matrices after 0..iterations products, by entropy weight, over `count` scenes with known classes.

    varied: scenes of the sizes of `make_set`, most not square, instead of squares.
    """
    ids = {word.name: word.id for word in read_words()}
    scores = {entropy: [ConfusionMatrix(21) for _ in range(iterations + 1)] for entropy in entropies}
    for index in tqdm(range(count), desc=style, disable=None):
        rng = scene_rng(seed, index)
        scene = render(rng, SIZES[int(rng.integers(len(SIZES)))] if varied else SQUARE, style)
        words = [ClassWord(name, FOCUS.get(name)) for name in scene.words]
        attended = model.attend([scene.image], [words], looks=[1.0])[0]  # the method itself looks once
        labels = [ids[name] for name in scene.words]
        for entropy in entropies:
            recipe = model.recipe.changed(entropy=entropy, iterations=iterations)
            for matrix, columns in zip(scores[entropy], refine_classes(attended, recipe), strict=True):
                maps = score_maps(columns, scene.mask.shape, recipe.working_size)
                decided = label_map(maps, labels, recipe.background, rescale=recipe.working_size is not None)
                matrix.update(scene.mask, decided)
    return scores


def percent(matrix: ConfusionMatrix) -> float:
    """Mean IoU in percent, one decimal."""
    return round(100 * float(matrix.mean_iou()), 1)


def table(scores: dict[float, list[float]]) -> str:
    """A readable table: iterations across, entropy weights down."""
    length = len(next(iter(scores.values())))
    lines = ["entropy |" + "".join(f"{i:6d}" for i in range(length)), "--------+" + "-" * 6 * length]
    lines += [f"{entropy:7g} |" + "".join(f"{value:6.1f}" for value in row) for entropy, row in scores.items()]
    return "\n".join(lines)


def summary(model: ISeg, scores: dict[float, list[ConfusionMatrix]], count: int, seed: int) -> dict:
    """The figures of a run as plain numbers; the model's own recipe decides which of them is `refined`."""
    recipe = model.recipe
    chosen = scores[recipe.entropy]
    names = ["background", *(word.name for word in read_words())]
    named = dict(zip(names, chosen[recipe.iterations].iou(), strict=True))
    return {
        "scenes": count, "seed": seed, "entropy": recipe.entropy, "iterations": recipe.iterations,
        "raw": percent(chosen[0]), "one product": percent(scores[0.0][1]),
        "refined": percent(chosen[recipe.iterations]),
        "with entropy reduction": [percent(matrix) for matrix in chosen],
        "without entropy reduction": [percent(matrix) for matrix in scores[0.0]],
        "per class": {name: round(100 * float(iou), 1) for name, iou in named.items() if iou == iou},
    }  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tiny", help="a backbone, or a folder with the tiny model's layout")
    parser.add_argument("--style", default="seen", help="seen, fluent, fluent-flat, noto, noto-v1 or openmoji")
    parser.add_argument("--count", type=int, default=None, help="scenes; 500, or 200 with --choose")
    parser.add_argument("--choose", action="store_true", help="try many entropy weights on the validation scenes")
    parser.add_argument("--varied", action="store_true", help="scenes of various sizes, most not square")
    parser.add_argument("--json", type=Path, default=None, help="file to add the result to")
    options = parser.parse_args(arguments)
    torch.set_grad_enabled(False)
    try:
        model = ISeg.from_pretrained(options.model, backbone="tiny")
        count, seed = options.count or (200 if options.choose else 500), TEST_SEED
        entropies: Sequence[float] = (0.0, model.recipe.entropy)
        if options.choose:
            seed, entropies = VALIDATION_SEED, sorted({*ENTROPIES, model.recipe.entropy})
        scores = curves(model, options.style, seed, count, entropies, max(10, model.recipe.iterations), options.varied)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"mIoU (%) on {count} scenes of seed {seed}, style {options.style}; iterations across")
    print(table({entropy: [percent(matrix) for matrix in row] for entropy, row in scores.items()}))
    result = summary(model, scores, count, seed)
    print(json.dumps({name: value for name, value in result.items() if name != "per class"}))
    if options.json:
        name = options.style + (", various sizes" if options.varied else "")
        add_to_json(options.json, name, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
