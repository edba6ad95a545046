"""Files on this machine and in object stores, by path or URI (s3://, gs://, ... as fsspec knows them)."""

import time
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from iseg.errors import InputError
from iseg.files.export import write_bytes

TRIES, PAUSE = 3, 0.5  # of reading what a store did not give; seconds before the second one


def open_store(uri: str) -> tuple[Any, str]:
    """The file system of a path or URI and the path in it. Raises InputError for one that cannot be had."""
    try:
        return fsspec.core.url_to_fs(uri)
    except (ImportError, ValueError, OSError) as error:
        raise InputError(f"{uri}: cannot be opened: {error}: expected a path or a URI that fsspec knows") from None


def is_local(uri: str) -> bool:
    """Whether a path or URI is of this machine's files."""
    return isinstance(open_store(uri)[0], LocalFileSystem)


def join(folder: str, name: str) -> str:
    """A path or URI below another; an absolute path or a URI stays what it is."""
    return name if "://" in name or name.startswith("/") else f"{folder.rstrip('/')}/{name}"


def read(uri: str) -> bytes:
    """A file, or `length` bytes of one from `start` on: "PATH#start+length".

    What a store does not give at once is tried again. Raises OSError, InputError.
    """
    whole, mark, part = uri.partition("#")
    start, plus, length = part.partition("+")
    ranged = bool(mark and plus and start.isdecimal() and length.isdecimal())
    store, path = open_store(whole if ranged else uri)
    limits = {"start": int(start), "end": int(start) + int(length)} if ranged else {}
    for attempt in range(TRIES):
        try:
            return store.cat_file(path, **limits)
        except (FileNotFoundError, IsADirectoryError, PermissionError):
            raise
        except OSError:
            if attempt == TRIES - 1:
                raise
            time.sleep(PAUSE * 2**attempt)
    raise AssertionError("the last try returns or raises")


def opened(uri: str) -> Any:
    """A file to read parts of, as a context manager."""
    store, path = open_store(uri)
    return store.open(path, "rb")


def write(uri: str, data: bytes) -> None:
    """Write a file whole or not at all, with the folders above it. Raises InputError where it cannot be written."""
    store, path = open_store(uri)
    if isinstance(store, LocalFileSystem):
        write_bytes(Path(path), data)
        return
    try:
        store.pipe_file(path, data)  # an object is there when all of it is
    except OSError as error:
        raise InputError(f"{uri}: cannot be written: {error}") from None


def remove(uri: str) -> None:
    """Remove a file. Raises InputError where it stays."""
    store, path = open_store(uri)
    try:
        store.rm_file(path)
    except OSError as error:
        raise InputError(f"{uri}: cannot be removed: {error}") from None


def list_files(folder: str, suffixes: tuple[str, ...], deep: bool = False) -> list[str]:
    """Files of these endings (lower case) in a folder, hidden ones left out, as full paths or URIs, sorted."""
    store, path = open_store(folder)
    store.invalidate_cache()
    try:
        found = store.find(path) if deep else store.find(path, maxdepth=1)
    except FileNotFoundError:
        return []
    kept = []
    for each in found:
        relative = each[len(path) :].strip("/")
        if relative.lower().endswith(suffixes) and not any(part.startswith(".") for part in relative.split("/")):
            kept.append(store.unstrip_protocol(each) if "://" in folder else each)
    return sorted(kept)
