"""Files that wait to be fetched: written to disk, so that a large export is never held as text in a request."""

import secrets
import shutil
import tempfile
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

KEPT_SECONDS = 600
KEPT_FILES = 40


@dataclass(frozen=True)
class Waiting:
    """A file at `path`, called `name` of a media type, for whoever knows its key."""

    path: Path
    name: str
    media: str
    since: float


class Downloads:
    """A folder of files under unguessable keys; the oldest go when they are many or old."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._files: OrderedDict[str, Waiting] = OrderedDict()
        self._lock = threading.Lock()

    def place(self) -> Path:
        """An empty folder of its own to write one file into."""
        with self._lock:
            if self._folder is None:
                self._folder = Path(tempfile.mkdtemp(prefix="iseg-page-"))
        return Path(tempfile.mkdtemp(dir=self._folder))

    def offer(self, path: Path, name: str, media: str) -> str:
        """Let a file be fetched; returns its key."""
        key = secrets.token_hex(16)
        with self._lock:
            self._files[key] = Waiting(path, name, media, time.monotonic())
            self._trim()
        return key

    def get(self, key: str) -> Waiting | None:
        """The file of a key, if it still waits."""
        with self._lock:
            self._trim()
            return self._files.get(key)

    def _trim(self) -> None:
        oldest = time.monotonic() - KEPT_SECONDS
        while self._files:
            key, first = next(iter(self._files.items()))
            if first.since >= oldest and len(self._files) <= KEPT_FILES:
                return
            del self._files[key]
            shutil.rmtree(first.path.parent, ignore_errors=True)

    def close(self) -> None:
        """Remove all files."""
        with self._lock:
            self._files.clear()
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
                self._folder = None
