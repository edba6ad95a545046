"""Runs over several images: what is done already, what became of each, and one COCO JSON for all."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

from iseg import __version__
from iseg.cli.prompts import Prompt
from iseg.cli.settings import Job
from iseg.cli.sidecar import deciding, file_state, saved_deciding, weights_now
from iseg.data.items import Item
from iseg.errors import InputError, printable
from iseg.files import coco
from iseg.files.claim import FolderLock, claim
from iseg.files.export import write_json
from iseg.settings import list_differences

SETTINGS = ".segment.yaml"


@dataclass
class Record:
    """What became of the images of a run, each by its result's name, in their order.

    Attributes:
        done, kept: segmented now; before, with the same settings.
        failed: {name: reason}.
        stopped: why the run ended early, or None.
    """

    done: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    stopped: str | None = None


def find_done(job: Job, items: list[Item]) -> set[str]:
    """Names of the images whose results are there, whole and of the settings of now.

    An image that has changed, and one whose own prompt in a file of prompts has, is to be done again. Raises
    InputError with the difference where results of other settings lie.
    """
    done = set()
    shared: dict[str, Any] | None = None
    for item in items:
        content = _sidecar_of(job, item)
        if content is None or not _whole(job, item, content):
            continue
        saved = saved_deciding(content)
        try:
            now = shared or deciding(job, job.prompt_for(item.image))
        except InputError:  # told of when it is its turn
            continue
        if job.prompt is not None:
            shared = now
        elif saved["prompt"] != now["prompt"]:
            continue
        differences = list_differences(*_by_weights(job, saved, now, content))
        if differences:
            raise InputError(
                f"{job.settings.out} holds results of other settings ({item.name}.json): give another --out, "
                f"or --resume false to make them anew: {'; '.join(map(str.strip, differences))}"
            )
        done.add(item.name)
    return done


def _by_weights(
    job: Job, saved: dict[str, Any], now: dict[str, Any], content: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Both settings with their models known by the digests of their weights instead of by name, where both are."""
    held = content.get("model")
    before, after = held.get("weights") if isinstance(held, dict) else None, weights_now(job)
    if not isinstance(before, dict) or after is None:
        return saved, now
    named = [{**settings, "model": {**settings["model"], "name": None, "weights": weights}}
             for settings, weights in ((saved, before), (now, after))]  # fmt: skip
    return named[0], named[1]


def decides(job: Job) -> dict[str, Any]:
    """The settings that decide the results of all images."""
    if job.prompt is not None:
        return deciding(job, job.prompt)
    own = {str(image): prompt.described() for image, prompt in sorted(job.prompts.items())}
    return {**deciding(job, Prompt()), "prompt": own}


def hold(job: Job) -> FolderLock:
    """Hold OUT for a run over several images; runs of the same settings may share it.

    Raises InputError with the difference if a run of other settings is on there, and for a folder that cannot be
    written. The settings lie in OUT/.segment.yaml, for the message to another run.
    """
    how = {"model": job.settings.model, "out": job.settings.out}
    return claim(Path(job.settings.out) / SETTINGS, decides(job), how, lambda: 0, "results")[0]


def write_summary(job: Job, items: list[Item], record: Record) -> None:
    """OUT/summary.json, and OUT/coco.json if that was asked for. Raises InputError where they cannot be written."""
    write_summary_of(Path(job.settings.out), head(job, len(items)), "coco" in job.save, items, record)


def head(job: Job, images: int) -> dict[str, Any]:
    """How a summary begins."""
    return {"iseg": __version__, "model": job.settings.model, "notice": job.note, "images": images}


def write_summary_of(out: Path, head: dict[str, Any], coco_too: bool, items: list[Item], record: Record) -> None:
    """The files of `write_summary` without its settings."""
    tried = {*record.done, *record.kept, *record.failed}
    summary: dict[str, Any] = {
        **head,
        "done": record.done,
        "kept": record.kept,
        "failed": record.failed,
        "not_tried": [item.name for item in items if item.name not in tried],
        "stopped": record.stopped,
    }
    write_json(out / "summary.json", summary)
    if coco_too:
        finished = {*record.done, *record.kept}
        write_json(out / "coco.json", coco.join(_coco_parts(out, [item for item in items if item.name in finished])))


def _coco_parts(out: Path, items: list[Item]) -> Iterator[tuple[str, dict[str, Any]]]:
    for item in items:
        try:
            part = json.loads((out / f"{item.name}.coco.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{out / item.name}.coco.json: cannot be read again: {printable(error)}") from None
        yield (PurePath(item.name).parent / item.image.name).as_posix(), part


def _sidecar_of(job: Job, item: Item) -> dict[str, Any] | None:
    try:
        text = (Path(job.settings.out) / f"{item.name}.json").read_text(encoding="utf-8")
        content = json.loads(text)
    except (OSError, ValueError, RecursionError):  # none, or not ours
        return None
    return content if isinstance(content, dict) else None


def _whole(job: Job, item: Item, content: dict[str, Any]) -> bool:
    """Whether all that is asked for was saved of the image as it is now."""
    image, files = content.get("image"), content.get("files")
    if not isinstance(image, dict) or not isinstance(files, list):
        return False
    try:
        state = file_state(item.image)
    except OSError:
        return False
    folder = (Path(job.settings.out) / item.name).parent
    same = all(image.get(key) == value for key, value in state.items())
    there = all(isinstance(name, str) and (folder / name).is_file() for name in files)
    return same and there and all(_saved(job, kind, item, files) for kind in job.save)


def _saved(job: Job, kind: str, item: Item, files: list[str]) -> bool:
    """Whether a kind of result is among the files of an image."""
    own = PurePath(item.name).name
    if kind == "mask":
        return f"{own}.png" in files
    if kind == "animation":
        return f"{own}.animation.{job.settings.animation}" in files
    return any(name.startswith(f"{own}.{kind}.") for name in files)
