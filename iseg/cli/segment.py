"""`iseg segment`: images and folders -> masks and pictures of them."""

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from iseg.cli.inputs import list_items
from iseg.cli.say import say
from iseg.cli.settings import Job, read_job
from iseg.cli.stop import Stop
from iseg.cli.worker import ImageFailed, Worker
from iseg.data.items import Item
from iseg.errors import printable

if TYPE_CHECKING:
    from iseg.cli.folder import Record

FAILED, TERMINATED = 1, 143
LONG = 3  # from so many images on, a terminal shows how far the work is


def run(arguments: list[str]) -> int:
    """Segment everything asked for and return the exit code: 0, 1 if some image failed, 143 after SIGTERM.

    InputError for bad usage.
    """
    if "--everything" in arguments:
        from iseg.cli import everything

        return everything.run(arguments)
    if any(argument.split("=")[0] == "--student" for argument in arguments):
        from iseg.cli import student

        return student.run(arguments)
    job = read_job(arguments)
    from iseg.cli.folder import hold
    from iseg.cli.outputs import longest_ending

    items = list_items(job.images, Path(job.settings.out), longest_ending(job.save))
    several = len(items) > 1 or job.settings.shard is not None or any(Path(given).is_dir() for given in job.images)
    resume = several if job.settings.resume is None else job.settings.resume
    with hold(job) if several else nullcontext():
        return _run(job, items, several, resume)


def _run(job: Job, items: list[Item], several: bool, resume: bool) -> int:
    from iseg.cli.folder import Record, find_done, write_summary
    from iseg.cli.sharded import begin, end
    from iseg.work.trouble import LOG

    items = begin(job, items)
    done = find_done(job, items) if resume else set()
    if done:
        say(f"{len(done)} of {len(items)} images were segmented before with the same settings: they are kept")
    record = Record(kept=[item.name for item in items if item.name in done])
    with Stop().listening() as stop:
        try:
            _each(
                Worker(job, stop, Path(job.settings.out) / LOG),
                [item for item in items if item.name not in done],
                record,
                stop,
            )
        except KeyboardInterrupt:
            record.stopped = "interrupted"
            raise
        finally:
            if several and (record.done or record.failed or record.kept or job.settings.shard):
                (end if job.settings.shard else write_summary)(job, items, record)
    if several:
        _sum_up(job, items, record)
    if stop.asked:
        return TERMINATED
    return FAILED if record.failed or record.stopped else 0


def _each(worker: Worker, items: list[Item], record: "Record", stop: Stop) -> None:
    """Segment images one after another and note what becomes of them."""
    from iseg.work.trouble import MOST_IN_A_ROW, InARow

    in_a_row = InARow()
    with tqdm(items, unit="image", disable=len(items) < LONG or not sys.stderr.isatty()) as bar:
        for item in bar:
            if stop.asked:
                record.stopped = "terminated"
                say("terminated: the image at hand was finished", error=True)
                break
            try:
                line = worker.segment(item)
            except ImageFailed as error:
                record.failed[item.name] = printable(error)
                say(f"error: {error}", error=True)
                if in_a_row.add(not error.own):
                    record.stopped = f"{MOST_IN_A_ROW} images in a row failed for no fault of theirs"
                    break
            else:
                in_a_row.add(False)
                record.done.append(item.name)
                say(line)


def _sum_up(job: Job, items: list[Item], record: "Record") -> None:
    finished = len(record.done) + len(record.kept)
    if record.stopped:
        say(f"stopped: {record.stopped}; the same command goes on from here")
    if finished == len(items):
        say(f"{finished} images done: results are in {job.settings.out}")
    else:
        say(f"{finished} of {len(items)} images done, {len(record.failed)} failed: results are in {job.settings.out}")
    if job.settings.shard:
        say(f"shard {job.settings.shard}: `iseg gather {job.settings.out}` sums up all shards")
    for reason in record.failed.values():
        say(f"  {reason}")
    if job.note:
        say(f"note: {job.note}")
