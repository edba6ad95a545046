"""Everything mode once an image is encoded and its pass recorded: from the attention to the label map."""

import os
import statistics
import time
from dataclasses import replace
from typing import Any

import torch
from tqdm import trange

from iseg import ISeg
from iseg.cli.check.machine import device_name
from scripts.bench.peaks import synchronize
from scripts.bench.report import table
from scripts.train_tiny.scenes import render, scene_rng

SEED = 3
SIZE = 512  # pixels: the embedded model's grid is then 64x64, as Stable Diffusion's
COARSE = (0.3, 0.7)


def everything(repeats: int, device: torch.device, size: int = SIZE) -> dict[str, Any]:
    """Median seconds of `regions` by the default method, and of another coarseness; prints a table.

    The entropy-reduced matrix is made anew every time. Another program at work makes the figures worse: the load of the
    last minute is told with them.
    """
    seg = ISeg.from_pretrained("tiny", device=device)
    seg.backbone.row = replace(seg.backbone.row, image_size=size)
    image = render(scene_rng(SEED, 1)).image
    found, moved = [], []
    for _ in trange(repeats + 1, disable=None):
        state = seg.set_image(image)
        grid = seg.attend_image(state, seg.recipe).grid_size
        start = time.perf_counter()
        regions = seg.regions()
        synchronize(device)
        found.append(time.perf_counter() - start)
        start = time.perf_counter()
        for coarse in COARSE:
            regions.at(coarse)
        synchronize(device)
        moved.append((time.perf_counter() - start) / len(COARSE))
    medians = {"regions": statistics.median(found[1:]), "another coarseness": statistics.median(moved[1:])}
    result = {
        "device": device_name(device),
        "threads": torch.get_num_threads(),
        "grid": grid,
        **medians,
        "load": os.getloadavg()[0],
    }
    rows = [[name, f"{1000 * seconds:.0f}"] for name, seconds in medians.items()]
    print(table([f"{grid}x{grid} places, {result['threads']} threads", "median ms"], rows))
    print(f"load of the machine: {result['load']:.2f}")
    return result
