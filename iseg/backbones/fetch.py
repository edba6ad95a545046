"""Getting the files of a model from a hub, and finding those that an earlier run got."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iseg.backbones.digests import file_digest
from iseg.backbones.sources import MODELSCOPE, Source
from iseg.errors import InputError

SPARE = 1 << 26  # bytes that stay free on the disk
LONGEST = 400  # letters of a reason
STATES = {
    401: "not found, or not for the public (HTTP 401)",
    403: "forbidden (HTTP 403)",
    404: "not found (HTTP 404)",
    407: "the proxy asks for a password (HTTP 407)",
}


@dataclass(frozen=True)
class Wanted:
    """What is wanted of a repository.

    Attributes:
        choose: names of all files -> names of those to get. Raises InputError if they cannot make a model.
        patterns: for a client that lists no files: patterns to get, one list after the other until `check` is content.
        check: raises InputError unless the folder has everything, whole.
    """

    choose: Callable[[Sequence[str]], list[str]]
    patterns: Sequence[list[str]]
    check: Callable[[Path], None]


def at_hand(source: Source, wanted: Wanted) -> Path:
    """The folder or file of a source that is on this machine. No network.

    Raises whatever tells that it is not: InputError, or what a hub's client raises; see `reason`.
    """
    place = source.place
    if place is None:
        place = _cached(source)
    if not place.exists():
        raise FileNotFoundError("not in this installation")
    if place.is_dir():
        _check(source, place, wanted)
    return place


def fetch(source: Source, wanted: Wanted) -> Path:
    """Get what is wanted of a source, shown by the clients' progress bars; files that are there already are kept.

    A file that does not have the hub's own SHA-256 is got once more.

    Raises whatever tells that it cannot be had: InputError, or what a hub's client raises; see `reason`.
    """
    if source.place is not None:
        return at_hand(source, wanted)
    return _from_modelscope(source, wanted) if source.kind == "modelscope" else _from_hub(source, wanted)


def reason(error: BaseException) -> str:
    """Why a source failed, on one short line."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    kind = type(error).__name__
    if isinstance(error, InputError):
        text = str(error)
    elif kind == "GatedRepoError":
        text = "gated: accept its terms on the hub and log in"
    elif status is not None:
        text = STATES.get(status, f"HTTP {status}")
    elif "Timeout" in kind:
        text = "no answer in time"
    elif "ConnectError" in kind:
        text = f"no connection: {error}"
    elif "Proxy" in kind:
        text = f"the proxy refused: {error}"
    elif isinstance(error, ModuleNotFoundError):
        text = f"the package {error.name} is not installed"
    elif "LocalEntryNotFound" in kind and error.__cause__ is not None:  # the hub's client hides why
        return reason(error.__cause__)
    elif isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    else:
        first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
        text = first if type(error) in (OSError, FileNotFoundError) and first else f"{kind}: {first}".rstrip(": ")
    text = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(text.split())[:LONGEST]


def _check(source: Source, folder: Path, wanted: Wanted) -> Path:
    """The folder, if it has what is wanted. InputError; a path below a hub's cache is left out."""
    try:
        wanted.check(folder)
    except InputError as error:
        text = str(error)
        if source.kind in ("hub", "modelscope"):
            text = text.replace(f"{folder}/", "").replace(str(folder), "the repository")
        raise type(error)(text) from None
    return folder


def _cached(source: Source) -> Path:
    options: dict[str, Any] = {"revision": source.revision, "local_files_only": True}
    if source.kind == "modelscope":
        from modelscope import snapshot_download as from_modelscope  # an optional package

        return Path(from_modelscope(source.id.removeprefix(MODELSCOPE), **options))
    from huggingface_hub import snapshot_download

    # no pattern: the folder alone is asked for, what it must hold is checked here
    return Path(snapshot_download(source.id, allow_patterns=[], **options))


def _from_modelscope(source: Source, wanted: Wanted) -> Path:
    from modelscope import snapshot_download  # an optional package

    for patterns in wanted.patterns:
        identifier = source.id.removeprefix(MODELSCOPE)
        folder = Path(snapshot_download(identifier, revision=source.revision, allow_patterns=patterns))
        try:
            return _check(source, folder, wanted)
        except InputError as error:
            problem = error
    raise problem


def remote_files(source: Source, wanted: Wanted) -> tuple[str | None, dict[str, Any]]:
    """What is wanted of a hub's source: its commit, and {name: the hub's entry of the file}, the smallest first."""
    from huggingface_hub import HfApi, constants

    info = HfApi().model_info(
        source.id, revision=source.revision, files_metadata=True, timeout=constants.HF_HUB_ETAG_TIMEOUT
    )
    files = {file.rfilename: file for file in info.siblings or []}
    names = sorted(wanted.choose(list(files)), key=lambda name: files[name].size or 0)
    return info.sha, {name: files[name] for name in names}


def _from_hub(source: Source, wanted: Wanted) -> Path:
    from huggingface_hub import constants, hf_hub_download

    commit, files = remote_files(source, wanted)
    names = list(files)
    _check_room(source, list(files.values()), commit, Path(constants.HF_HUB_CACHE))
    for name in names:
        path = Path(hf_hub_download(source.id, name, revision=commit))
        if _is_damaged(path, files[name]):
            path = Path(hf_hub_download(source.id, name, revision=commit, force_download=True))
            if _is_damaged(path, files[name]):
                raise InputError(f"{name}: came damaged twice (it has not the hub's size and SHA-256)")
    folder = _check(source, path.parents[names[-1].count("/")], wanted)
    # the same file by the name of the branch: so the cache notes which commit the branch is at, now that it is right
    hf_hub_download(source.id, names[0], revision=source.revision)
    return folder


def _is_damaged(path: Path, known: Any) -> bool:
    """Whether a file differs from what the hub says of it; its SHA-256 is known for large files only."""
    if known.size is not None and path.stat().st_size != known.size:
        return True
    return known.lfs is not None and file_digest(path) != known.lfs.sha256


def _check_room(source: Source, files: list[Any], commit: str | None, cache: Path) -> None:
    """Raises InputError if the disk of the hub's cache has no room for the files that are not there yet."""
    from huggingface_hub import try_to_load_from_cache

    missing = [file for file in files if not isinstance(try_to_load_from_cache(
        source.id, file.rfilename, revision=commit), str)]  # fmt: skip
    needed = sum(file.size or 0 for file in missing)
    there = next(folder for folder in (cache, *cache.parents) if folder.exists())
    free = shutil.disk_usage(there).free
    if needed and needed + SPARE > free:
        raise InputError(f"{needed / 1e9:.2f} GB are missing and {there} has {free / 1e9:.2f} GB free")
