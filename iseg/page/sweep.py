"""Words over all images of a folder, in the background."""

import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iseg.errors import InputError
from iseg.files.export import voc_palette
from iseg.page.engine import Engine
from iseg.page.folder import FORMAT, Changed, Folder, revision_of
from iseg.page.sureness import Sureness

VERSION = 2
TRIES = 5  # a person may be working on the image at the same time


class Sweep:
    """Adds an object for each phrase to each image that holds it, keeping what is there."""

    def __init__(
        self,
        engine: Engine,
        sureness: Sureness,
        read: Callable[[str], NDArray[np.uint8]],
        classes: Mapping[str, Mapping[str, Any]],
    ) -> None:
        self.engine, self.sureness, self.read, self.classes = engine, sureness, read, classes
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._state: dict[str, Any] = {"running": False, "done": 0, "all": 0, "text": "", "errors": []}

    def state(self) -> dict[str, Any]:
        """How far it is: running, done, all, text, errors (one line per image that failed)."""
        with self._lock:
            return dict(self._state)

    def start(self, folder: Folder, phrases: Sequence[str]) -> threading.Thread:
        """Begin. Raises InputError while it runs, and for words the model does not know."""
        self.engine.seg.backbone.row.check_words(phrases)
        with self._lock:
            if self._state["running"]:
                raise InputError("words are being looked for already: wait or stop that first")
            self._state = {
                "running": True, "done": 0, "all": len(folder.names), "text": "; ".join(phrases), "errors": [],
            }  # fmt: skip
        self._stopped.clear()
        thread = threading.Thread(target=self._run, args=(folder, tuple(phrases)), daemon=True, name="sweep")
        thread.start()
        return thread

    def stop(self) -> None:
        """End after the image that is being looked at."""
        self._stopped.set()

    def _run(self, folder: Folder, phrases: tuple[str, ...]) -> None:
        try:
            for name in folder.names:
                if self._stopped.is_set():
                    break
                error = ""
                try:
                    self._label(folder, name, phrases)
                except InputError as failure:
                    error = f"{name}: {failure}"
                except Exception as failure:  # one image must not end the search in the others
                    error = f"{name}: {type(failure).__name__}"
                with self._lock:
                    self._state["done"] += 1
                    self._state["errors"] = [*self._state["errors"], *([error] if error else [])]
        finally:
            with self._lock:
                self._state["running"] = False

    def _label(self, folder: Folder, name: str, phrases: tuple[str, ...]) -> None:
        pixels = self.read(name)
        backbone = self.engine.seg.backbone
        found = self.sureness.found(pixels, phrases, backbone.row, str(backbone.device)) or [True] * len(phrases)
        present = tuple(phrase for phrase, is_there in zip(phrases, found, strict=True) if is_there)
        for _ in range(TRIES):
            session = folder.load(name) or self._fresh(name, pixels)
            revision = revision_of(session)
            try:
                folder.save(name, self._with(session, present), revision)
                return
            except Changed:
                continue
        raise InputError("somebody else keeps changing the work on it")

    def _fresh(self, name: str, pixels: NDArray[np.uint8]) -> dict[str, Any]:
        height, width = pixels.shape[:2]
        image = {"id": self.engine.add_image(pixels), "name": name, "width": width, "height": height}
        return {"format": FORMAT, "version": VERSION, "image": image, "opacity": 0.5, "done": False, "objects": []}

    def _with(self, session: dict[str, Any], phrases: tuple[str, ...]) -> dict[str, Any]:
        """A session with an object for each phrase that has none yet."""
        objects = list(session["objects"])
        known = {_phrase(each) for each in objects}
        defaults = self.engine.describe()["defaults"]
        colours = voc_palette()
        for index, phrase in enumerate(phrases):
            if phrase in known:
                continue
            number = 1 + max((each["id"] for each in objects if isinstance(each.get("id"), int)), default=0)
            entry = self.classes.get(phrase, {})
            colour = "#" + "".join(f"{value:02x}" for value in colours[number % 255 + 1].tolist())
            objects.append(
                {
                    "id": number,
                    "uid": secrets.token_hex(12),
                    "name": entry.get("name", phrase),
                    "colour": entry.get("colour", colour),
                    "hidden": False,
                    **defaults,
                    "marks": {"points": [], "negative": [], "lines": [], "boxes": []},
                    "words": {"phrases": list(phrases), "index": index},
                    "strokes": [],
                    "clean": {},
                }
            )
        return {**session, "objects": objects}


def _phrase(each: Mapping[str, Any]) -> str | None:
    words = each.get("words")
    return words["phrases"][words["index"]] if words else None
