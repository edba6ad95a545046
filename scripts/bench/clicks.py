"""Seconds per click at 64x64 cells, by Markov maps as they are and cut: the first one, and further ones.

    python -m scripts.bench.clicks                      # decisions at 200 px, as the recipe has it
    python -m scripts.bench.clicks --sizes 144,200,400 --repeats 5 --threads 2

The image's pass is recorded before; the first click makes its balanced matrix. Another program at work makes the
figures worse: the load of the last minute is told with them, and the CPU time, which it spoils less.
"""

import argparse
import os
import statistics
import sys
import time
from dataclasses import replace
from itertools import product

import torch
from tqdm import tqdm

from iseg import ISeg
from iseg.cli.check.machine import device_name
from iseg.errors import InputError
from iseg.noc.play import decision
from iseg.noc.protocol import Truth, next_click
from iseg.recipe import Recipe
from iseg.results import Attended
from scripts.bench.peaks import synchronize
from scripts.bench.report import table
from scripts.train_tiny.scenes import render, scene_rng

SEED = 3
SIDE = 512  # pixels: the embedded model's grid is then 64x64, as Stable Diffusion's
CLICKS = 10


def click_times(attended: Attended, recipe: Recipe, name: str, truth: Truth) -> list[tuple[float, float]]:
    """Seconds, and seconds of all threads together, of each of a simulated user's clicks on an object.

    Nothing of the image's chain is there at first.
    """
    fresh = replace(attended, _chain=None, _markov={}, _guide={})
    decide, clicks, seconds = decision(fresh, recipe, name), [next_click(truth, ~truth.region & truth.region)], []
    while len(clicks) <= CLICKS:
        start, busy = time.perf_counter(), time.process_time()
        mask = decide(clicks)
        synchronize(fresh.attention.device)
        seconds.append((time.perf_counter() - start, time.process_time() - busy))
        clicks.append(next_click(truth, mask, [(int(each.y), int(each.x)) for each in clicks]))
    return seconds


def measure(sizes: list[int], repeats: int) -> list[list[str]]:
    """Rows of medians in ms: decision and size, first click, further clicks (2 to 10), their work by one thread."""
    seg = ISeg.from_pretrained("tiny", device="cpu")
    seg.backbone.row = replace(seg.backbone.row, image_size=SIDE)
    scene = render(scene_rng(SEED, 1), (384, SIDE))
    attended = seg.attend_image(seg.set_image(scene.image), seg.recipe)
    region = scene.mask == scene.mask[scene.mask > 0].max()
    truth = Truth(region, region & ~region)
    rows = []
    for name, size in product(("markov", "cut"), sizes):
        recipe = seg.recipe.changed(decision_size=size)
        runs = [
            click_times(attended, recipe, name, truth)
            for _ in tqdm(range(repeats), desc=f"{name}, {size} px", disable=None)
        ]
        first = statistics.median(run[0][0] for run in runs)
        further, busy = zip(*(times for run in runs for times in run[1:]), strict=True)
        cells = [f"{1000 * value:.0f}" for value in (first, statistics.median(further), statistics.median(busy))]
        rows.append([f"{name}, {size} px", *cells])
    return rows


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="200", help="longest sides in pixels at which is decided, e.g. 144,200")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    try:
        rows = measure([int(size) for size in options.sizes.split(",")], options.repeats)
    except (InputError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(table(["decision, maps at", "first click ms", "further click ms", "its CPU ms"], rows))
    load = os.getloadavg()[0]
    print(f"{device_name(torch.device('cpu'))}, {options.threads} threads, load {load:.1f} of {os.cpu_count()} cores")
    return 0


if __name__ == "__main__":
    sys.exit(main())
