"""What the prepare_* scripts share: label PNGs made in parallel, resumable, one bad file never stops the rest."""

import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from functools import partial
from multiprocessing import get_context
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from iseg.errors import InputError
from iseg.files.export import write_mask

Job = TypeVar("Job")
CHUNK = 16  # jobs handed to a process at once


def convert_all(
    jobs: Sequence[tuple[str, Job]], label: Callable[[Job], NDArray[np.uint8]], out: Path, workers: int | None = None
) -> int:
    """Write OUT/NAME.png for every (name, job) that is not there yet.

    Args:
        jobs: names and what `label` makes a label map from.
        label: job -> (H, W) labels; raises InputError for a job that cannot be used. A module-level function.
        out: folder of the PNGs.
        workers: processes; by default one per core.

    Returns the exit code: 0, or 1 if a job failed.
    """
    left = [job for job in jobs if not (out / f"{job[0]}.png").is_file()]
    if len(left) < len(jobs):
        print(f"{len(jobs) - len(left)} of {len(jobs)} are there already")
    failures = []
    workers = min(workers or os.cpu_count() or 1, max(1, len(left) // CHUNK))
    with ProcessPoolExecutor(workers, mp_context=_context()) if workers > 1 else nullcontext() as pool:
        convert = partial(_convert, label, out)
        results = pool.map(convert, left, chunksize=CHUNK) if pool else map(convert, left)
        for message in tqdm(results, total=len(left), desc=out.name, unit="image", disable=None):
            if message:
                failures.append(message)
    for message in failures:
        print(f"error: {message}", file=sys.stderr)
    print(f"{len(jobs) - len(failures)} label images in {out}" + (f", {len(failures)} failed" if failures else ""))
    return 1 if failures else 0


def _context() -> BaseContext:
    """Workers forked from a fresh process that has this module loaded: forking one that runs threads can deadlock."""
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def _convert(label: Callable[[Job], NDArray[np.uint8]], out: Path, job: tuple[str, Job]) -> str | None:
    """One job in a worker process: None, or what went wrong."""
    name, what = job
    try:
        write_mask(out / f"{name}.png", label(what))
    except InputError as error:
        return f"{name}: {error}"
    return None


def run(job: Callable[[], int]) -> None:
    """Call a script's job and exit: with its code, or with 2 and one line for unusable input."""
    try:
        sys.exit(job())
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
