"""What the page can ask of the server: plain mappings in, plain mappings out, errors as text."""

import base64
import binascii
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from iseg.errors import InputError
from iseg.files import pictures
from iseg.page import exports, gallery
from iseg.page.annotate import Categories
from iseg.page.answers import Answer, Request, answered
from iseg.page.decision import Step
from iseg.page.downloads import Downloads
from iseg.page.engine import Engine
from iseg.page.folder_api import FolderApi
from iseg.page.objects import parse_object, parse_objects
from iseg.page.parse import number, text
from iseg.page.people import People, valid_token
from iseg.page.saving import Saving
from iseg.page.settings import MEGA, UiSettings
from iseg.page.sureness import Sureness
from iseg.page.uploads import FORMATS, decode, preview, view_size

THUMBNAIL = 192
MAX_SLOT = 100_000
TILE = 2048  # pixels of a side of a tile at most


class Api:
    """The page's requests. Every public method takes one mapping with the page's token and returns one mapping."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.people = People()
        self.downloads = Downloads()
        self.saving = Saving(engine, self.downloads)
        self.sureness = Sureness()
        self.folder = FolderApi(self.settings, engine, self.people, self.saving, self.sureness, self._open)
        self._examples: dict[str, Path] | None = None

    @property
    def settings(self) -> UiSettings:
        """The page's settings."""
        return self.engine.settings

    def close(self) -> None:
        """Remove what was written for fetching."""
        self.downloads.close()

    def functions(self) -> list[Callable[[Request], Answer]]:
        """The requests as functions that never raise: {"ok": True, ...} or {"ok": False, "error", "code"}."""
        requests = (self.hello, self.status, self.upload, self.examples, self.example, self.prepare, self.solve)
        return [answered(each) for each in (*requests, self.tile, self.export, self.cancel, *self.folder.requests())]

    def hello(self, request: Request) -> Answer:
        """Limits, the colours of heat maps (256 RGB triples in base64), the folder, and the model's state."""
        settings = self.settings
        return {
            "max_iterations": settings.max_iterations,
            "max_objects": settings.max_objects,
            "max_upload": int(settings.max_upload_mb * MEGA),
            "formats": list(FORMATS),
            "heat": base64.b64encode(pictures.heat_map(np.arange(256)[None] / 255).tobytes()).decode(),
            "folder": self.folder.describe(),
            "classes": self.folder.classes,
            **self.status(request),
        }

    def status(self, request: Request) -> Answer:
        """The model's state, and what it is doing."""
        stage = self.saving.doing(str(request.get("token", ""))) or self.engine.stage
        return {"model": self.engine.describe(), "stage": stage, "sweep": self.folder.sweep.state()}

    def upload(self, request: Request) -> Answer:
        """Take an image: `data` (base64 of a file) and its `name`."""
        data = request.get("data")
        if not isinstance(data, str):
            raise InputError("the request holds no file")
        if len(data) > self.settings.max_upload_mb * MEGA * 4 / 3 + 4:
            raise InputError(
                f"the file has {len(data) * 0.75 / MEGA:.1f} MB: expected at most {self.settings.max_upload_mb:g} MB"
            )
        try:
            content = base64.b64decode(data, validate=True)
        except binascii.Error:
            raise InputError("the file did not arrive whole: send it again") from None
        name = text(request.get("name", "image"), "name", 200) or "image"
        return self._open(request, decode(content, self.settings), name)

    def examples(self, request: Request) -> Answer:
        """Names and small pictures of the gallery's images."""
        pictures = []
        for name, path in self._example_files().items():
            image = decode(path.read_bytes(), self.settings)
            picture = preview(image, view_size(_size(image), THUMBNAIL))
            pictures.append({"name": name, "picture": _data_url(picture)})
        return {"examples": pictures}

    def example(self, request: Request) -> Answer:
        """Open an image of the gallery by its `name`."""
        name = request.get("name")
        path = self._example_files().get(name) if isinstance(name, str) else None
        if path is None:
            raise InputError(f"there is no example {name!r:.80}")
        return self._open(request, decode(path.read_bytes(), self.settings), path.name)

    def prepare(self, request: Request) -> Answer:
        """Run the pass of an `image` that all marks share."""
        token, name = self._image(request)
        return {"grid": self.engine.prepare(name, self.people.begin(token, "prepare"))}

    def solve(self, request: Request) -> Answer:
        """The trajectory of one `object` of an `image`: float32 (N + 1, K, g, g) in base64.

        A later request in the same `slot` takes the place of an earlier one. With words alone also its `phrases` and,
        where it can be told, for each whether the image holds it (`found`).
        """
        token, name = self._image(request)
        wanted = parse_object(request.get("object"), self.settings)
        slot = hashlib.sha256(text(request.get("slot", ""), "slot", MAX_SLOT).encode()).hexdigest()
        steps = self.engine.trajectory(name, wanted, self.people.begin(token, f"solve {slot}"))
        answer: Answer = {"steps": base64.b64encode(steps.astype("<f4").tobytes()).decode(), "shape": list(steps.shape)}
        if wanted.words and not wanted.marks:
            backbone = self.engine.seg.backbone
            image, phrases = self.engine.image(name), wanted.words.phrases
            found = self.sureness.found(image, phrases, backbone.row, str(backbone.device))
            answer |= {"phrases": list(phrases), "found": found}
        return answer

    def tile(self, request: Request) -> Answer:
        """The part of an `image` within `box` (x0, y0, x1, y1), at the image's own resolution."""
        image = self.engine.image(self._image(request)[1])
        height, width = _size(image)
        given = request.get("box")
        if not isinstance(given, list) or len(given) != 4:
            raise InputError("box is no list of 4 numbers")
        x0, y0, x1, y1 = (
            round(number(value, "box", 0, most)) for value, most in zip(given, [width, height] * 2, strict=True)
        )
        if not (x0 < x1 <= x0 + TILE and y0 < y1 <= y0 + TILE):
            raise InputError(f"box is {[x0, y0, x1, y1]}: expected 1..{TILE} pixels to each side")
        part = np.ascontiguousarray(image[y0:y1, x0:x1])
        return {"picture": _data_url(preview(part, _size(part)))}

    def export(self, request: Request) -> Answer:
        """Write an export `kind` of the `objects` of an `image`; the answer says under which `key` it waits."""
        token, image = self._image(request)
        objects = parse_objects(request.get("objects"), self.settings)
        opacity = number(request.get("opacity", 0.5), "opacity", 0, 1)
        kind = exports.check_kind(text(request.get("kind"), "kind", 20), exports.KINDS)
        check = self.people.begin(token, "export")
        title = self.people.name_of(token, image)

        def items(step: Step) -> Iterator[exports.Exported]:
            yield self.saving.item(image, title, objects, step)

        return self.saving.write(token, check, kind, title, Categories(self.folder.fixed), opacity, items)

    def cancel(self, request: Request) -> Answer:
        """Stop this person's export."""
        self.people.begin(valid_token(request.get("token")), "export")
        return {}

    def _open(self, request: Request, image: NDArray[np.uint8], name: str) -> Answer:
        token = valid_token(request.get("token"))
        identifier = self.engine.add_image(image)
        self.people.own(token, identifier, name)
        size = view_size(_size(image), self.settings.view_size)
        return {
            "image": identifier,
            "name": name,
            "width": image.shape[1],
            "height": image.shape[0],
            "view_width": size[1],
            "view_height": size[0],
            "picture": _data_url(preview(image, size)),
        }

    def _image(self, request: Request) -> tuple[str, str]:
        """The token of a request and the id of its image, which must be this person's."""
        token = valid_token(request.get("token"))
        name = text(request.get("image"), "image", 64)
        self.people.name_of(token, name)
        return token, name

    def _example_files(self) -> dict[str, Path]:
        if self._examples is None:
            self._examples = gallery.examples([self.settings.examples_folder], self.engine.is_embedded)
        return self._examples


def _size(image: NDArray[np.uint8]) -> tuple[int, int]:
    return image.shape[0], image.shape[1]


def _data_url(webp: bytes) -> str:
    return "data:image/webp;base64," + base64.b64encode(webp).decode()
