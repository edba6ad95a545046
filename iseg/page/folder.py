"""A folder of images that is worked through: what is in it, and the work on each image in a file beside it."""

import json
import threading
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from iseg.errors import InputError
from iseg.files.export import write_json
from iseg.page.gallery import SUFFIXES, is_truth

SIDECAR = ".iseg.json"
FORMAT = "iseg-session"
MAX_SIDECAR = 50_000_000


class Changed(InputError):
    """The work on an image was changed by someone else meanwhile."""


class Folder:
    """The images of a folder and below it, by their paths relative to it ("sub/cat.jpg").

    The work on NAME is kept in NAME.iseg.json beside the image, or below `out`. Every write raises its `revision`; a
    write that names an older one is refused, so that nobody's work is lost.
    """

    def __init__(self, root: str | Path, out: str | Path | None = None) -> None:
        self.root = Path(root)
        if not self.root.is_dir():
            raise InputError(f"{root}: no such folder")
        self.out = Path(out) if out else self.root
        self._lock = threading.Lock()
        found = sorted(path for path in self.root.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
        self.names = [
            path.relative_to(self.root).as_posix()
            for path in found
            if not is_truth(path, self.root) and not any(p.startswith(".") for p in path.relative_to(self.root).parts)
        ]
        if not self.names:
            raise InputError(f"{root}: no image in this folder")

    def path(self, name: Any) -> Path:
        """The file of an image. Raises InputError for a name that is not in the list."""
        if name not in self.names:
            raise InputError(f"there is no image {name!r:.80} in the folder")
        return self.root / PurePosixPath(name)

    def sidecar(self, name: Any) -> Path:
        """Where the work on an image is kept."""
        self.path(name)
        return self.out / PurePosixPath(name + SIDECAR)

    def load(self, name: Any) -> dict[str, Any] | None:
        """The work on an image, None if there is none yet. Raises InputError for a file that cannot be read."""
        path = self.sidecar(name)
        if not path.is_file():
            return None
        try:
            if path.stat().st_size > MAX_SIDECAR:
                raise ValueError("too large")
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: cannot be read: {error}") from None
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise InputError(f"{path}: expected a session of this page")
        return content

    def save(self, name: Any, session: Mapping[str, Any], revision: int) -> int:
        """Keep the work on an image; `revision` is the one it was made from. Returns the new one. Raises Changed."""
        with self._lock:
            current = revision_of(self.load(name))
            if current != revision:
                raise Changed(f"the work on {name} was changed elsewhere")
            write_json(self.sidecar(name), {**session, "revision": current + 1})
            return current + 1

    def entries(self) -> list[dict[str, Any]]:
        """For each image: name, number of objects, and whether it is marked as done."""
        return [{"name": name, **self._state(name)} for name in self.names]

    def _state(self, name: str) -> dict[str, Any]:
        try:
            session = self.load(name) or {}
        except InputError as error:
            return {"objects": 0, "done": False, "error": str(error)}
        return {"objects": len(session.get("objects", [])), "done": session.get("done") is True, "error": ""}


def revision_of(session: Mapping[str, Any] | None) -> int:
    """The revision of a session; 0 before the first."""
    revision = session.get("revision", 0) if session else 0
    return revision if isinstance(revision, int) else 0
