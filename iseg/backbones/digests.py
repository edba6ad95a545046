"""SHA-256 of weights. A file is read once: its digest is remembered with its size and time of change."""

import contextlib
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

from iseg.backbones.read import PARTS, weight_files
from iseg.errors import InputError
from iseg.files.export import write_json

BLOCK = 1 << 20  # bytes


def state_folder() -> Path:
    """Where iseg keeps what it remembers for this user: ISEG_HOME, XDG_STATE_HOME/iseg or ~/.local/state/iseg."""
    if own := os.environ.get("ISEG_HOME"):
        return Path(own)
    shared = os.environ.get("XDG_STATE_HOME", "")
    return (Path(shared) if os.path.isabs(shared) else Path.home() / ".local" / "state") / "iseg"


def file_digest(*paths: Path) -> str:
    """SHA-256 (hexadecimal) of the contents of files, one after another; remembered, so that the next call reads none.

    Several processes may ask at once: what is remembered is written whole or not at all, and where the state folder
    takes no file the digest is computed anew.

    Raises InputError naming the file that cannot be read.
    """
    known = known_digest(*paths)
    if known is not None:
        return known
    total = hashlib.sha256()
    try:
        before = _marks(paths)
        for path in paths:
            with path.open("rb") as file:
                while block := file.read(BLOCK):
                    total.update(block)
        unchanged = before == _marks(paths)
    except OSError as error:
        raise InputError(f"{error.filename}: cannot be read: {error.strerror or error}") from None
    if unchanged:
        with contextlib.suppress(InputError):  # a state folder that cannot be written costs time, not the result
            write_json(_memory(paths), {"files": before, "sha256": total.hexdigest()})
    return total.hexdigest()


def known_digest(*paths: Path) -> str | None:
    """The digest if it is remembered and the files have not changed since; None otherwise. Reads no weights."""
    try:
        kept = json.loads(_memory(paths).read_text(encoding="utf-8"))
        return str(kept["sha256"]) if kept["files"] == _marks(paths) else None
    except (OSError, ValueError, KeyError, TypeError):  # nothing there, or not what was written
        return None


def weights_digest(place: Path, half: bool = False) -> dict[str, str]:
    """SHA-256 of every part of a model that is used.

    Args:
        place: a diffusers folder, or a single file with all parts.
        half: the weights are held in float16: where a folder has plain and fp16 files, it is the latter.

    Returns {"unet" | "vae" | "text_encoder" | "text_encoder_2": digest} of a folder, {"file": digest} of a file.
    Several files of a part (shards) count as one, in the order of their names.

    Raises InputError for a place without weights and for files that cannot be read.
    """
    if place.is_file():
        return {"file": file_digest(place)}
    files = {part: weight_files(place / part, half) for part in PARTS}
    if not any(files.values()):
        raise InputError(f"{place}: no weights: expected a diffusers folder or a .safetensors file")
    return {part: file_digest(*found) for part, found in files.items() if found}


def _marks(paths: Sequence[Path]) -> list[list[str | int]]:
    """What tells that files have not changed: real path, bytes, time of change in nanoseconds."""
    return [[str(path.resolve()), (stat := path.stat()).st_size, stat.st_mtime_ns] for path in paths]


def _memory(paths: Sequence[Path]) -> Path:
    name = hashlib.sha256("\0".join(str(path.resolve()) for path in paths).encode(errors="surrogateescape"))
    return state_folder() / "digests" / f"{name.hexdigest()}.json"
