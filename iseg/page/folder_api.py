"""Requests about the folder that is worked through."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iseg.data.classes import load_classes
from iseg.errors import InputError
from iseg.files.export import voc_palette
from iseg.page import exports
from iseg.page.annotate import Categories
from iseg.page.decision import Step
from iseg.page.engine import Engine
from iseg.page.folder import Folder
from iseg.page.objects import PageObject, parse_object, parse_objects, parse_phrases
from iseg.page.parse import number, text
from iseg.page.people import People, valid_token
from iseg.page.saving import Saving
from iseg.page.settings import UiSettings
from iseg.page.sureness import Sureness
from iseg.page.sweep import Sweep
from iseg.page.uploads import decode

Request = Mapping[str, Any]
Answer = dict[str, Any]
Open = Callable[[Request, NDArray[np.uint8], str], Answer]


class FolderApi:
    """List, open, keep, describe all by words, export all. Without a folder every request is refused."""

    def __init__(
        self,
        settings: UiSettings,
        engine: Engine,
        people: People,
        saving: Saving,
        sureness: Sureness,
        open_image: Open,
    ) -> None:
        self.settings, self.engine, self.people, self.saving, self.open_image = (
            settings, engine, people, saving, open_image,
        )  # fmt: skip
        self._folder = Folder(settings.folder, settings.out or None) if settings.folder else None
        colours = voc_palette()
        entries = load_classes(settings.classes) if settings.classes else []
        self.fixed = [(entry.id, entry.name) for entry in entries]
        self.classes = [
            {"id": entry.id, "name": entry.name, "word": entry.word.word, "colour": _hex(colours[entry.id % 256])}
            for entry in entries
        ]
        self.sweep = Sweep(engine, sureness, self._read, {str(each["word"]): each for each in self.classes})

    def requests(self) -> list[Callable[[Request], Answer]]:
        """The requests about the folder."""
        return [self.folder_list, self.folder_open, self.folder_save, self.folder_words, self.folder_export]

    def describe(self) -> str:
        """The folder's name; "" without one."""
        return self._folder.root.resolve().name or str(self._folder.root) if self._folder else ""

    def folder_list(self, request: Request) -> Answer:
        """The images with their status, and how far the search for words is."""
        valid_token(request.get("token"))
        return {"images": self.folder.entries(), "sweep": self.sweep.state()}

    def folder_open(self, request: Request) -> Answer:
        """Open an image by its `name`, with the work on it."""
        name = text(request.get("name"), "name", 4000)
        session = self.folder.load(name)
        return {**self.open_image(request, self._read(name), name), "session": session}

    def folder_save(self, request: Request) -> Answer:
        """Keep the `session` of the image `name`, made from a `revision`."""
        valid_token(request.get("token"))
        session = request.get("session")
        if not isinstance(session, Mapping) or not isinstance(session.get("objects"), list):
            raise InputError("the request holds no session")
        usable_objects(session, self.settings)  # what cannot be used is not kept either
        revision = round(number(request.get("revision", 0), "revision", 0, 1e12))
        return {"revision": self.folder.save(text(request.get("name"), "name", 4000), session, revision)}

    def folder_words(self, request: Request) -> Answer:
        """Look for `phrases` in all images in the background; `stop` ends it."""
        valid_token(request.get("token"))
        if request.get("stop") is True:
            self.sweep.stop()
        else:
            self.sweep.start(self.folder, parse_phrases(request.get("phrases")))
        return {"sweep": self.sweep.state()}

    def folder_export(self, request: Request) -> Answer:
        """Write all images that have objects as one data set of a `kind`."""
        token = valid_token(request.get("token"))
        kind = exports.check_kind(text(request.get("kind"), "kind", 20), exports.OF_SETS)
        check = self.people.begin(token, "export")
        sessions = [(name, self.folder.load(name)) for name in self.folder.names]
        work = [
            (name, found) for name, session in sessions if session and (found := usable_objects(session, self.settings))
        ]
        if not work:
            raise InputError("no image of the folder has an object yet")

        def items(step: Step) -> Iterator[exports.Exported]:
            for k, (name, objects) in enumerate(work):
                image = self.engine.add_image(self._read(name))

                def part(done: int, of: int, k: int = k) -> None:
                    step(1000 * k + 1000 * done // max(1, of), 1000 * len(work))

                yield self.saving.item(image, name, objects, part)

        return self.saving.write(token, check, kind, self.describe(), Categories(self.fixed), 0.5, items)

    @property
    def folder(self) -> Folder:
        """The folder. Raises InputError without one."""
        if self._folder is None:
            raise InputError("no folder was opened: start with `iseg page FOLDER`")
        return self._folder

    def _read(self, name: str) -> NDArray[np.uint8]:
        return decode(self.folder.path(name).read_bytes(), self.settings)


def usable_objects(session: Mapping[str, Any], settings: UiSettings) -> list[PageObject]:
    """The objects of a session that are shown and have content. Raises InputError for one that is wrong."""
    given = [each for each in session["objects"] if isinstance(each, Mapping)]
    shown = [sent(each) for each in given if each.get("hidden") is not True and has_content(each)]
    hidden = [sent(each) for each in given if each.get("hidden") is True and has_content(each)]
    for each in hidden:
        parse_object(each, settings)
    return parse_objects(shown, settings) if shown else []


def sent(value: Mapping[str, Any]) -> dict[str, Any]:
    """An object of a session as an object of a request: marks only if a map comes from them."""
    marks = value.get("marks")
    uses = _is_marked(marks) or (
        isinstance(marks, Mapping) and bool(marks.get("negative")) and bool(value.get("words") or value.get("pieces"))
    )
    return {**value, "marks": marks if uses else None}


def has_content(value: Mapping[str, Any]) -> bool:
    """Whether an object of a session has anything to compute a region from."""
    return bool(_is_marked(value.get("marks")) or value.get("words") or value.get("pieces") or value.get("strokes"))


def _is_marked(marks: Any) -> bool:
    return isinstance(marks, Mapping) and any(marks.get(kind) for kind in ("points", "lines", "boxes"))


def _hex(colour: NDArray[np.uint8]) -> str:
    return "#" + "".join(f"{value:02x}" for value in colour.tolist())
