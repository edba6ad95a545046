"""The driver is killed at random moments and started again: at the end every row is there once.

python -m scripts.scale.kills [--kills 5] [--rows 3000]
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from iseg.label.unpack import read_rows
from scripts.scale.null import label_nothing, write_manifest

LONGEST = 600.0  # seconds to wait for the first new file


def main() -> int:
    """Say what was there after each kill; exit code 1 if rows lack or are there twice."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--rows", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--drive", nargs=2, metavar=("MANIFEST", "OUT"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.drive:
        manifest, out = map(Path, asked.drive)
        report = label_nothing(manifest, out, actors=1, batch_size=10, rows_per_file=50)
        print(f"driver: {report}")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        return try_kills(Path(folder), asked.kills, asked.rows, random.Random(asked.seed))


def try_kills(folder: Path, kills: int, count: int, chance: random.Random) -> int:
    """Kill, start again, and at the end count."""
    manifest, out = write_manifest(folder / "manifest", count, seconds=0.01), folder / "out"
    for kill in range(1, kills + 1):
        driver = start(manifest, out)
        before, until = files(out), time.monotonic() + LONGEST
        while files(out) <= before and driver.poll() is None and time.monotonic() < until:
            time.sleep(0.05)
        time.sleep(chance.uniform(0, 3))
        if driver.poll() is None:
            os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
        print(f"kill {kill}: {files(out)} files", flush=True)
    if start(manifest, out).wait() != 0:
        return 1
    names = [row["id"] for row in read_rows(str(out))]
    print(f"{len(names)} rows, {len(set(names))} different, of {count}")
    return 0 if len(names) == len(set(names)) == count else 1


def start(manifest: Path, out: Path) -> subprocess.Popen[bytes]:
    """A driver in a process of its own, with Ray in it."""
    return subprocess.Popen([sys.executable, "-m", "scripts.scale.kills", "--drive", str(manifest), str(out)])


def files(out: Path) -> int:
    """Files of rows that are there."""
    return sum(1 for _ in out.glob("rows/*.parquet"))


if __name__ == "__main__":
    sys.exit(main())
