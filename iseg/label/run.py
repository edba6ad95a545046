"""The whole of `iseg label`: what is not done yet is dealt to actors, and their rows are written as they come."""

import functools
import re
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from iseg import __version__
from iseg.cli.prompts import Prompt
from iseg.cli.settings import Job
from iseg.cli.sidecar import deciding, weights_now
from iseg.errors import InputError, printable
from iseg.files.claim import FolderLock
from iseg.label import store
from iseg.label.actor import ImageRows, Labeller, RowWorker
from iseg.label.engine import connected, share
from iseg.label.ids import check_ids, drop_done, drop_repeated, read_written
from iseg.label.options import Options
from iseg.label.source import open_source
from iseg.label.write import Writer


@dataclass
class Report:
    """What a run did: images in the manifest, kept of earlier runs, rows written now, of these failed."""

    images: int = 0
    kept: int = 0
    rows: int = 0
    failed: int = 0


Make = Callable[[Job, str], RowWorker]


def label(options: Options, job: Job, make: Make = ImageRows) -> Report:
    """Label what is not labelled yet.

    make: (job, base of relative URIs) -> what segments rows in an actor.

    Raises InputError for a source, target, settings or cluster that cannot be used, and for what stops every image.
    """
    about = {"iseg": __version__, "settings": settings_of(job), "weights": weights_now(job)}
    with connected(options.address) as resources, _held(options.target):
        cpus, gpus = share(resources, options.actors, options.cpus, options.gpus)
        source, base = open_source(options.source, options.target)
        wanted, salt = check_ids(source)
        written = read_written(options.target, about, salt)
        if drop_repeated(written):
            written = read_written(options.target, about, salt)
        done = written.done(options.retry)
        kept = int(np.isin(wanted, done).sum())
        if kept == len(wanted):
            return Report(kept, kept)
        stream = _stream(options, source, done, salt, functools.partial(make, job, base), (cpus, gpus))
        writer = Writer(options.target, about, options.masks, options.tars)
        # no CPU: with the last one taken by those who read, nothing would be written before the actors are done
        stream = stream.map_batches(writer, batch_size=None, batch_format="pyarrow", num_cpus=0)
        report = _consume(stream, len(wanted), kept)
        _check(options.target, about, salt, wanted)
    return report


def settings_of(job: Job) -> dict[str, Any]:
    """The settings that decide the rows; the precision as given, since actors may be on other devices than this."""
    decides = deciding(job, job.prompt or Prompt())
    decides["model"]["dtype"] = job.settings.dtype
    return decides


def _held(target: str) -> AbstractContextManager[Any]:
    """The target, if it is a folder here, held against a second run; object stores have no locks."""
    if not store.is_local(target):
        return nullcontext()
    lock = FolderLock(Path(store.open_store(target)[1]) / "label.yaml")
    with lock.entering() as alone:
        if not alone:
            raise InputError(f"{target} is in use by another iseg label: wait for it, or give another --out")
    return lock


def _stream(
    options: Options, source: Any, done: NDArray[np.uint64], salt: int, make: Any, taken: tuple[float, float]
) -> Any:
    """Rows of the images that are not done."""
    import ray
    from ray.data import ActorPoolStrategy

    if len(done):
        source = source.map_batches(drop_done, batch_format="pyarrow", fn_kwargs={"done": ray.put(done), "salt": salt})
    return (
        source.repartition(target_num_rows_per_block=options.batch_size, strict=True)
        .map_batches(
            Labeller,
            fn_constructor_kwargs={"make": make, "keep": options.tars},
            compute=ActorPoolStrategy(size=options.actors),
            batch_size=None,
            batch_format="pyarrow",
            num_cpus=taken[0],
            num_gpus=taken[1],
        )
        .repartition(target_num_rows_per_block=options.rows_per_file, strict=True)
    )


def _consume(stream: Any, images: int, kept: int) -> Report:
    """Let the stream run, with a bar."""
    from ray.exceptions import RayError

    report = Report(images, kept)
    with tqdm(total=images, initial=kept, desc="label", unit="image", disable=None, file=sys.stderr) as bar:
        try:
            for batch in stream.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
                report.rows += sum(batch["rows"].to_pylist())
                report.failed += sum(batch["failed"].to_pylist())
                bar.update(sum(batch["rows"].to_pylist()))
        except RayError as error:
            raise InputError(f"the work was ended: {_cause(error)}; what is written is kept") from None
    return report


def _cause(error: BaseException) -> str:
    """What stopped the work, in the words of the actor or task: Ray hands on its trace as text."""
    said = str(error).strip()
    own = re.findall(r"\b(?:InputError|NoMemory|NotFinite): (.+)", said)
    lines = own or said.splitlines() or [type(error).__name__]
    return printable(lines[-1])


def _check(target: str, about: dict[str, Any], salt: int, wanted: NDArray[np.uint64]) -> None:
    """Every image has one row: what a killed writer left twice goes. Raises InputError where rows lack."""
    written = read_written(target, about, salt)
    drop_repeated(written)
    lacking = len(wanted) - int(np.isin(wanted, written.digests).sum())
    if lacking:
        raise InputError(f"{target}: {lacking} of {len(wanted)} rows lack: the same command makes them")
