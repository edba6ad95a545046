"""Rows per second, the driver's memory and the files' sizes with a model that does nothing.

python -m scripts.scale.rows [--rows 200000] [--actors 1] [--out FOLDER]
"""

import argparse
import json
import resource
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from scripts.scale.null import label_nothing, write_manifest

EVERY = 0.5  # seconds between two looks at the memory


def main() -> int:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[50_000, 200_000])
    parser.add_argument("--actors", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=1000)
    parser.add_argument("--rows-per-file", type=int, default=10_000)
    asked = parser.parse_args()
    for count in asked.rows:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(measure(Path(folder), count, asked.actors, asked.batch_size, asked.rows_per_file)))
    return 0


def measure(folder: Path, count: int, actors: int, batch_size: int, rows_per_file: int) -> dict[str, Any]:
    """Label `count` rows and say how it went. Memory in MB; seconds are of all, Ray's start included."""
    manifest = write_manifest(folder / "manifest", count, files=max(1, count // 50_000))
    seen: list[int] = []
    over = threading.Event()
    watcher = threading.Thread(target=watch, args=(seen, over))
    watcher.start()
    begun = time.perf_counter()
    report = label_nothing(manifest, folder / "out", actors, batch_size, rows_per_file)
    ended = time.time()
    seconds = time.perf_counter() - begun
    over.set()
    watcher.join()
    written = sorted((path.stat().st_mtime, path.stat().st_size) for path in (folder / "out" / "rows").iterdir())
    files, between = [size for _, size in written], max(written[-1][0] - written[0][0], 1e-9)
    assert report.rows == count
    return {
        "rows": count,
        "actors": actors,
        "seconds": round(seconds, 1),
        "seconds after the last file": round(ended - written[-1][0], 1),
        "rows per second, with Ray's start": round(count / seconds),
        "rows per second, from the first file to the last": round(
            rows_per_file * (len(files) - 1) / max(between, 1e-9)
        ),
        "driver's memory MB, at a quarter and at the end": [seen[len(seen) // 4] >> 10, seen[-1] >> 10],
        "driver's peak MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
        "files": len(files),
        "bytes of a file": [min(files), max(files)],
        "bytes per row": round(sum(files) / count, 1),
    }


def watch(seen: list[int], over: threading.Event) -> None:
    """Note this process's resident memory in KB again and again."""
    while True:
        status = Path("/proc/self/status").read_text()
        seen.append(int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]))
        if over.wait(EVERY):
            return


if __name__ == "__main__":
    sys.exit(main())
