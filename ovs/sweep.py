"""Entropy weight x iterations x enhancement on the first images of a split, beside each other."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from iseg.errors import InputError
from iseg.evaluate import exit_code
from iseg.evaluate.config import variants
from iseg.evaluate.score import markdown, percent
from iseg.files.plot import draw_lines
from ovs.run import run
from ovs.settings import OpenVocabulary, load_settings

IMAGES = 100
SWEEP: dict[str, list[Any]] = {
    "entropy": [0.0, 0.002, 0.015, 0.1, 0.2],
    "iterations": [0, 1, 5, 10],
    "enhancement": [1.0, 1.6],
}


def main(arguments: Sequence[str]) -> int:
    """Run the sweep. Returns the exit code as `ovs.run` does."""
    return exit_code(lambda: sweep(load_settings(["--limit", str(IMAGES), *arguments], "python -m ovs.hyper")))


def sweep(settings: OpenVocabulary) -> int:
    """Evaluate every combination, then show them beside each other. Raises InputError for one that is to be a shard."""
    if settings.part is not None:
        raise InputError("a sweep was given --shard: expected a whole run, e.g. with --limit 100")
    settings = replace(settings, sweep={**SWEEP, **settings.sweep}, upper_bound=False)
    code = run(settings)
    report(settings)
    return code


def report(settings: OpenVocabulary) -> None:
    """Print mIoU, iterations across; write OUT/sweep.png."""
    out = Path(settings.out)
    scores = {row["name"]: row["miou"] for row in json.loads((out / "variants.json").read_text())}
    recipes = {variant.name: variant.recipe for variant in variants(settings)}
    lines: dict[str, dict[int, float | None]] = {}
    for name, recipe in recipes.items():
        label = f"entropy {recipe.entropy:g}, enhancement {recipe.enhancement:g}"
        lines.setdefault(label, {})[recipe.iterations] = scores.get(name)
    across = sorted({count for line in lines.values() for count in line})
    rows: list[Any] = [[label, *(percent(line.get(count)) for count in across)] for label, line in lines.items()]
    print(markdown(["mIoU %, iterations:", *map(str, across)], rows))
    drawn = {label: [(x, 100 * y) for x, y in line.items() if y is not None] for label, line in lines.items()}
    drawn = {label: line for label, line in drawn.items() if line}
    if drawn:
        draw_lines(drawn, f"{settings.out}: {settings.limit} images", out / "sweep.png")
        print(f"plot: {out / 'sweep.png'}")
