"""The requests that write files: one image's exports, with progress and a way to stop."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from iseg.page import exports
from iseg.page.annotate import Categories
from iseg.page.decision import Step, decide
from iseg.page.downloads import Downloads
from iseg.page.engine import Engine
from iseg.page.objects import PageObject
from iseg.page.people import Check

Items = Callable[[Step], Iterator[exports.Exported]]


class Saving:
    """Makes files of objects. One export at a time: what one takes is bounded, many together would not be."""

    def __init__(self, engine: Engine, downloads: Downloads) -> None:
        self.engine, self.downloads = engine, downloads
        self._lock = threading.Lock()
        self._doing: dict[str, str] = {}

    def doing(self, token: str) -> str:
        """What is being written for a person, for people; "" if nothing."""
        return self._doing.get(token, "")

    def item(self, image: str, name: str, objects: list[PageObject], step: Step) -> exports.Exported:
        """An image with the labels of its objects. `step` is told how far it is."""
        pixels = self.engine.image(image)
        scores = self.engine.scores(image, objects, lambda k, n: step(k, 2 * n))
        size = (pixels.shape[0], pixels.shape[1])
        decided = decide(scores, objects, size, lambda k, n: step(n + k, 2 * n))
        return exports.Exported(name, pixels, objects, decided)

    def write(
        self, token: str, check: Check, kind: str, name: str, categories: Categories, opacity: float, items: Items
    ) -> dict[str, Any]:
        """Write one export; returns what the page needs to fetch it, and which objects have no pixel."""

        def step(k: int, n: int) -> None:
            check()
            self._doing[token] = f"Saving: {round(100 * k / max(1, n))} %"

        path = self.downloads.place() / f"export{exports.KINDS[kind][0]}"
        self._doing[token] = "Saving"
        try:
            with self._lock:
                check()
                found = items(step)
                empty = self._write(path, kind, found, categories, opacity)
            check()
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        finally:
            self._doing.pop(token, None)
        title = exports.file_name(name, kind)
        key = self.downloads.offer(path, title, exports.KINDS[kind][1])
        return {"name": title, "key": key, "size": path.stat().st_size, "empty": empty}

    def _write(
        self, path: Path, kind: str, items: Iterator[exports.Exported], categories: Categories, opacity: float
    ) -> list[str]:
        if kind in exports.OF_SETS:
            return exports.write_set(path, kind, items, categories)
        item = next(items)
        exports.write_picture(path, kind, item, opacity)
        return item.empty
