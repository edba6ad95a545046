"""How time and memory grow: with the number of images, of classes, with the grid, and with what the clamp leaves."""

import os
import time
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from iseg import ISeg
from iseg.files.plot import Axis, draw_lines
from iseg.recipe import Recipe
from iseg.refine import compact, refine
from iseg.results import Attended, held_bytes
from iseg.solve import solve
from scripts.bench.peaks import median_time
from scripts.bench.report import table
from scripts.train_tiny.scenes import render, scene_rng

IMAGES, NOTED, DISTINCT = 2000, 100, 50
CLASSES = (1, 2, 5, 10, 20, 40, 80)
GRIDS = (16, 24, 32, 48, 64, 80, 96)
LEFT = (2, 5, 8, 10, 12, 20, 50, 100)  # % of the self-attention's entries that are not zero
PRODUCTS = 20
CPU = torch.device("cpu")


def growth(folder: Path) -> dict[str, Any]:
    """Measure all four, write `growth_*.png` into `folder`, print and return the figures."""
    folder.mkdir(parents=True, exist_ok=True)
    images = by_images()
    classes = {count: solve_cost(64, count) for count in CLASSES}
    grids = {side: solve_cost(side, 3) for side in GRIDS}
    left = {share: product_cost(share) for share in LEFT}
    plots = {
        "images": (
            "Memory over images (embedded model)",
            {"resident set": line(images, "MB")},
            Axis("images", "MB", 0),
        ),
        "classes": ("From maps to masks, 64 x 64 grid", {"10 products": line(classes, "ms")}, Axis("classes", "ms", 0)),
        "grid": (
            "From maps to masks, 3 classes",
            {"time, ms": line(grids, "ms"), "self-attention, MB": line(grids, "MB")},
            Axis("side of the grid", "ms, MB", 0),
        ),
        "zeros": (
            "20 products, 64 x 64 grid, 1 column",
            {"gathering and products": line(left, "ms"), "products alone": line(left, "again ms")},
            Axis("% of the entries not zero", "ms", 0),
        ),
    }
    for name, (title, lines, axis) in plots.items():
        draw_lines(lines, title, folder / f"growth_{name}.png", axis)
    for name, rows in (("images", images), ("classes", classes), ("grid", grids), ("zeros", left)):
        units = list(next(iter(rows.values())))
        cells = [[str(n), *(f"{row[unit]:.1f}" for unit in units)] for n, row in rows.items()]
        print(table([name, *units], cells), end="\n\n")
    settled = images[IMAGES]["MB"] - images[IMAGES // 4]["MB"]
    print(f"memory grew by {settled:.1f} MB from image {IMAGES // 4} to image {IMAGES}")
    return {"images": images, "classes": classes, "grid": grids, "zeros": left}


def line(rows: dict[int, dict[str, float]], unit: str) -> list[tuple[float, float]]:
    """Points of a plot."""
    return [(float(n), row[unit]) for n, row in rows.items()]


def resident() -> float:
    """MB of this process in memory now (Linux)."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def by_images() -> dict[int, dict[str, float]]:
    """The embedded model over many small scenes: MB after each hundred, ms per image of that hundred."""
    seg = ISeg.from_pretrained("tiny", device="cpu")
    scenes = [render(scene_rng(4, i), (64, 80)) for i in range(DISTINCT)]
    rows, start = {}, time.perf_counter()
    for i in tqdm(range(1, IMAGES + 1), desc="images", disable=None):
        scene = scenes[i % DISTINCT]
        seg.segment_batch([scene.image], [list(scene.words)])
        if i % NOTED == 0:
            now = time.perf_counter()
            rows[i] = {"MB": resident(), "ms": 1000 * (now - start) / NOTED}
            start = time.perf_counter()
    return rows


def solve_cost(side: int, classes: int) -> dict[str, float]:
    """ms from recorded maps to the mask, and MB of self-attention, for a made-up pass of a grid and class count."""
    generator = torch.Generator().manual_seed(0)
    tokens = torch.rand((max(77, classes + 2), side, side), generator=generator)
    attention = (4 * torch.rand((side**2, side**2), generator=generator)).softmax(-1)
    spans = [[k + 1] for k in range(classes)]
    recipe = Recipe().changed(cluster=True, cluster_stride=max(1, side // 6), background="power", working_size=512)

    def once() -> None:
        solve(Attended(tokens, attention, spans, [str(k) for k in range(classes)], (375, 500)), recipe)

    return {"ms": 1000 * median_time(once, CPU, 3), "MB": attention.numel() * 4 / 2**20}


def product_cost(left: float, side: int = 64) -> dict[str, float]:
    """ms of products with a made-up matrix of which `left` % are not zero, with and without `compact`, and its MB."""
    generator = torch.Generator().manual_seed(0)
    matrix = torch.rand((side**2, side**2), generator=generator)
    matrix = matrix * (torch.rand(matrix.shape, generator=generator) < left / 100)
    column = torch.rand((side**2, 1), generator=generator)
    smaller = compact(matrix)
    return {
        "ms": 1000 * median_time(lambda: refine(compact(matrix), column, PRODUCTS), CPU, 3),
        "again ms": 1000 * median_time(lambda: refine(smaller, column, PRODUCTS), CPU, 3),
        "MB": held_bytes(smaller) / 2**20,
    }
