"""What a model's files must be: pinned in the table, or recorded when `iseg models --get` got them."""

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from iseg.backbones.digests import file_digest, known_digest, state_folder
from iseg.backbones.model_files import choose_files, listing
from iseg.backbones.sources import Source
from iseg.errors import InputError
from iseg.files.export import write_json

State = Literal["as pinned", "as recorded", "changed", "not checked", "not recorded"]


PINNED = ("the table pins", "these are other weights than the table means; give another copy with --model PATH")
RECORDED = (
    "iseg models --get recorded",
    "it was changed since; if that is as it should be, run iseg models --get NAME --renew",
)


class ChangedWeightsError(InputError):
    """Files are not what they must be."""


def used_files(place: Path, half: bool) -> dict[str, Path]:
    """{name below the folder: file} of everything that is used of a diffusers folder, or of a single file."""
    if place.is_file():
        return {place.name: place}
    return {name: place / name for name in choose_files(listing(place), half)}


def write_record(source: Source, place: Path, half: bool, renew: bool = False) -> Path:
    """Record the digests of the used files of a source. Returns the record.

    renew: forget what was recorded before; else the digests of other variants are kept.

    Raises InputError if the state folder cannot be written.
    """
    path = _path(source)
    found = {name: file_digest(file) for name, file in used_files(place, half).items()}
    files = found if renew else read_record(source) | found
    moment = datetime.now(timezone.utc).isoformat(timespec="seconds")
    write_json(path, {"source": source.id, "place": str(place), "recorded": moment, "sha256": files})
    return path


def read_record(source: Source) -> dict[str, str]:
    """{file: recorded digest} of a source, {} if there is no record. Raises InputError for one that is not readable."""
    path = _path(source)
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))["sha256"]
        return {str(name): str(value) for name, value in kept.items()}
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"{path}: not a readable record of weights: delete it and get them again") from None


def check_digests(source: Source, place: Path, half: bool, recorded: bool = True) -> None:
    """Compare the used files with what the table pins and, if `recorded`, with the record.

    Raises ChangedWeightsError naming the first that differs or, of those pinned, is not there.
    """
    files = used_files(place, half)
    wanted = (read_record(source) if recorded else {}) | source.sha256
    for name in source.sha256.keys() - files.keys():
        if not (place / name).is_file():
            raise ChangedWeightsError(f"{place}: {name} is pinned in the table of {source.id} and not there")
    for name in sorted(wanted.keys() & files.keys()):
        found = file_digest(files[name])
        if found != wanted[name]:
            by, mend = PINNED if name in source.sha256 else RECORDED
            raise ChangedWeightsError(
                f"{source.id}: {name} has SHA-256 {found[:12]}..., {by} {wanted[name][:12]}...: {mend} ({files[name]})"
            )


def digest_state(source: Source, files: dict[str, Path]) -> State:
    """What is known of the digests of {name: file} without reading weights."""
    wanted = read_record(source) | source.sha256
    if not files.keys() & wanted.keys():
        return "not recorded"
    known = {name: known_digest(file) for name, file in files.items()}
    if any(known[name] not in (None, wanted.get(name, known[name])) for name in files):
        return "changed"
    if any(known[name] is None or name not in wanted for name in files):
        return "not checked"
    return "as pinned" if source.sha256.keys() >= files.keys() else "as recorded"


def _path(source: Source) -> Path:
    return state_folder() / "weights" / f"{quote(source.id, safe='')[-200:]}.json"
