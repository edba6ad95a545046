"""Memory and time of the page's exports of one large image.

    python -m scripts.bench.page_export [--megapixels 50] [--objects 40] [--kinds overlay coco zip]

Each kind runs in a process of its own, without a model: the maps are random blobs, half of the objects are cleaned up.
Prints a table and JSON: peak memory beyond what the process held before the export (the image itself is held before),
seconds, size of the file.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from iseg.marks import Marks
from iseg.page import exports
from iseg.page.annotate import Categories
from iseg.page.corrections import Clean
from iseg.page.decision import decide
from iseg.page.objects import PageObject

GRID = 64


def objects(count: int) -> tuple[list[torch.Tensor], list[PageObject]]:
    """`count` blobs as maps (GRID, GRID), and their objects; every second one is cleaned up."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[:GRID, :GRID]
    maps, made = [], []
    for k in range(count):
        column, row, reach = random.uniform((4, 4, 3), (GRID - 4, GRID - 4, 9)).tolist()
        blob = np.exp(-((x - column) ** 2 + (y - row) ** 2) / (2 * reach**2)) + 0.05 * random.random((GRID, GRID))
        maps.append(torch.from_numpy(blob.astype(np.float32) / blob.max()))
        clean = Clean(largest=True, holes=True, smooth=True) if k % 2 else Clean()
        made.append(
            PageObject(Marks(points=((1.0, 1.0),)), None, 0.1, 1.6, 10, 0.45, clean=clean, name=f"thing {k % 9}")
        )
    return maps, made


def resident_bytes() -> int:
    """Bytes of memory that this process holds now (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def measure(kind: str, megapixels: float, count: int) -> dict[str, object]:
    """One export in this process."""
    height = round((megapixels * 1e6 / 1.5) ** 0.5)
    pixels = np.random.default_rng(1).integers(0, 256, (height, round(1.5 * height), 3), np.uint8)
    maps, made = objects(count)
    decide(maps[:1], made[:1], (64, 96))  # what the libraries load at their first use is not the export's
    before, start = resident_bytes(), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"export{exports.KINDS[kind][0]}"
        decided = decide(maps, made, (pixels.shape[0], pixels.shape[1]))
        item = exports.Exported("image.png", pixels, made, decided)
        if kind in exports.OF_SETS:
            exports.write_set(path, kind, iter([item]), Categories())
        else:
            exports.write_picture(path, kind, item, 0.5)
        size = path.stat().st_size
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    seconds = round(time.monotonic() - start, 1)
    return {"kind": kind, "extra_mb": round((peak - before) / 1e6), "seconds": seconds, "file_mb": round(size / 1e6, 1)}


def main() -> None:
    """Measure each kind in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megapixels", type=float, default=50)
    parser.add_argument("--objects", type=int, default=40)
    parser.add_argument("--kinds", nargs="+", default=["overlay", "coco", "zip"], choices=list(exports.KINDS))
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.inside:
        print(json.dumps(measure(asked.kinds[0], asked.megapixels, asked.objects)))
        return
    rows = []
    print(f"{'kind':14} {'extra MB':>9} {'seconds':>8} {'file MB':>8}", flush=True)
    for kind in asked.kinds:
        command = [sys.executable, "-m", "scripts.bench.page_export", "--inside", "--kinds", kind]
        command += ["--megapixels", str(asked.megapixels), "--objects", str(asked.objects)]
        row = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
        rows.append(row)
        print(f"{kind:14} {row['extra_mb']:>9} {row['seconds']:>8} {row['file_mb']:>8}", flush=True)
    print(json.dumps({"megapixels": asked.megapixels, "objects": asked.objects, "exports": rows}))


if __name__ == "__main__":
    main()
