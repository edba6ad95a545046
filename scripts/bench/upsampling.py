"""Ten maps to an image of 1024 pixels: along edges at the decision's size and then up, beside other ways.

python -m scripts.bench.upsampling          # run it alone: another program at work makes the figures worse
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from tqdm import tqdm

from iseg.masks import resize
from iseg.recipe import Recipe
from iseg.upsample import joint_bilateral, separable_bilateral, small_picture, upsampling_stride
from scripts.bench.report import table

MAPS, GRID, SIZE, REPEATS = 10, 32, (1024, 1024), 15


def ways(maps: Tensor, picture: Tensor, recipe: Recipe) -> dict[str, Callable[[], Tensor]]:
    """Each way to bring maps (K, g, g) to the size of a picture (3, H, W); the small picture is kept per image."""
    size = (picture.shape[1], picture.shape[2])
    guide = small_picture(picture, recipe.decision_size)
    cells, colours = recipe.upsample_cells, recipe.upsample_range
    stride = upsampling_stride(guide, GRID, cells)
    bounded = f"at {recipe.decision_size} pixels, then bilinear"
    return {
        "bilinear": partial(resize, maps, size),
        f"rows and columns, {bounded}": lambda: resize(separable_bilateral(maps, guide, cells, colours), size),
        f"window (every {stride}th pixel), {bounded}": lambda: resize(
            joint_bilateral(maps, guide, cells, colours, stride), size
        ),
    }


def main() -> int:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    generator = torch.Generator().manual_seed(0)
    maps, picture = torch.rand(MAPS, GRID, GRID, generator=generator), torch.rand(3, *SIZE, generator=generator)
    recipe = Recipe(upsample_cells=1.5, upsample_range=0.07)
    rows = []
    with torch.inference_mode():
        for name, way in tqdm(ways(maps, picture, recipe).items(), disable=None):
            way()
            times = []
            for _ in range(REPEATS):
                start = time.perf_counter()
                way()
                times.append(time.perf_counter() - start)
            rows.append([name, f"{1000 * statistics.median(times):.0f}", f"{1000 * min(times):.0f}"])
    title = f"{MAPS} maps, {GRID}x{GRID} -> {SIZE[1]}x{SIZE[0]}, {torch.get_num_threads()} threads"
    print(table([title, "median ms", "least ms"], rows))
    print(f"load of the machine: {os.getloadavg()[0]:.2f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
