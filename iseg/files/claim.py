"""The settings of a folder of results: written beside them, compared by later runs, guarded while a run is on."""

import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from iseg.errors import InputError
from iseg.files.export import write_bytes
from iseg.settings import list_differences, read_yaml

try:
    import fcntl
except ImportError:  # Windows: runs that start together are not told apart there
    fcntl = None  # type: ignore[assignment]

LOCKS = ".lock"


class FolderLock:
    """The right to write results under a file of settings, shared by runs (and their processes) of the same settings.

    The system releases it when a process ends, however it ends, so nothing of a killed run blocks a later one. Where
    locks cannot be had (Windows, some network file systems) every run believes to be alone.

    Args:
        path: the file of settings; two empty files of its name in the folder .lock beside it hold the lock.
    """

    def __init__(self, path: Path) -> None:
        self._opened: list[int] = []
        folder = path.parent / LOCKS
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for part in ("gate", "run"):
                self._opened.append(os.open(folder / f"{path.stem}.{part}", os.O_RDWR | os.O_CREAT, 0o666))
        except OSError as error:
            raise InputError(f"{path.parent}: cannot be written: {error.strerror or error}") from None

    @contextmanager
    def entering(self) -> Iterator[bool]:
        """Take a share of the lock; inside the block nobody else can, and it says whether no other run has one.

        A block that raises gives it back.
        """
        gate, run = self._opened
        try:
            _flock(gate, "LOCK_EX")
            alone = _flock(run, "LOCK_EX", "LOCK_NB")
            # from exclusive to shared is not one step, hence the gate
            _flock(run, "LOCK_SH")
            yield alone
        except BaseException:
            self.close()
            raise
        _flock(gate, "LOCK_UN")

    def alone(self) -> bool:
        """Whether no other run or process has a share now."""
        with self.entering() as alone:
            return alone

    def __enter__(self) -> "FolderLock":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the share back."""
        while self._opened:
            os.close(self._opened.pop())


def _flock(descriptor: int, *how: str) -> bool:
    """Whether the lock could be had; True where the system has none."""
    if fcntl is None:
        return True
    flags = 0
    for name in how:
        flags |= getattr(fcntl, name)
    try:
        fcntl.flock(descriptor, flags)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def claim(
    path: Path,
    computed: Mapping[str, Any],
    how: Mapping[str, Any],
    results: Callable[[], int],
    what: str,
    came_of: Mapping[str, str] | None = None,
) -> tuple[FolderLock, dict[str, Any]]:
    """Write a file of settings, or take up the results of an earlier run with the same, or join one that is on.

    Args:
        path: YAML file; its folder is made.
        computed: settings that decide the results.
        how: settings that do not; kept for the reader only.
        results: counts what an earlier run left.
        what: the results are called, e.g. "masks".
        came_of: {key of computed: key of how}: that setting may differ where what came of it is the same.

    Returns:
        The lock, to be closed when the run is over, and how the earlier results were made ({} without any).

    Raises InputError with the difference for results of other settings and for a run of other settings that is on, and
    for a folder that cannot be written.
    """
    lock = FolderLock(path)
    with lock.entering() as alone:
        left = results()
        if left and not path.is_file():
            raise InputError(
                f"{path.parent} holds {what} but no {path.name} that says how they came: give another --out"
            )
        saved = read_yaml(path) if path.is_file() and (left or not alone) else {}
        before: dict[str, Any] = saved.get("how") or {}
        same = {key: computed[key] for key, made in (came_of or {}).items() if before.get(made) == how[made]}
        differences = list_differences({**(saved.get("computed") or {}), **same}, dict(computed)) if saved else []
        if differences and not alone:
            raise InputError(
                f"{path.parent} is in use by process {before.get('process')} on {before.get('host')} since "
                f"{before.get('started')}, with other settings: give another --out, or wait: "
                + "; ".join(map(str.strip, differences))
            )
        if differences:
            raise InputError(
                f"{path.parent} holds {what} of another configuration: give another --out, or the settings of {path}: "
                + "; ".join(map(str.strip, differences))
            )
        if alone:
            now = datetime.now().astimezone().isoformat(timespec="seconds")
            who = {"process": os.getpid(), "host": socket.gethostname(), "started": now}
            content = {"computed": dict(computed), "how": {**how, **who}}
            write_bytes(path, yaml.safe_dump(content, sort_keys=False, allow_unicode=True).encode())
    return lock, before
