"""What the page can ask of the server: plain mappings in, plain mappings out, errors as text."""

import base64
import binascii
import secrets
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iseg.errors import InputError
from iseg.files import pictures
from iseg.page import exports
from iseg.page.engine import Engine, NotReady
from iseg.page.objects import Words, number, parse_object, parse_objects, text
from iseg.page.people import ImageGone, People, Superseded, valid_token
from iseg.page.settings import MEGA, UiSettings
from iseg.page.uploads import FORMATS, decode, preview, view_size

Request = Mapping[str, Any]
Answer = dict[str, Any]

CODES: tuple[tuple[type[Exception], str], ...] = (
    (ImageGone, "image_gone"),
    (Superseded, "superseded"),
    (NotReady, "loading"),
    (InputError, "input"),
)
SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff"}
THUMBNAIL = 192
MAX_EXAMPLES = 24
LABEL_FOLDERS = {"masks", "labels", "truth", "results"}


class Api:
    """The page's requests. Every public method takes one mapping with the page's token and returns one mapping."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.people = People()
        self._examples: dict[str, Path] | None = None

    @property
    def settings(self) -> UiSettings:
        """The page's settings."""
        return self.engine.settings

    def functions(self) -> list[Callable[[Request], Answer]]:
        """The requests as functions that never raise: {"ok": True, ...} or {"ok": False, "error", "code"}."""
        requests = (self.hello, self.status, self.upload, self.examples, self.example, self.prepare, self.solve)
        return [answered(each) for each in (*requests, self.export)]

    def hello(self, request: Request) -> Answer:
        """Limits, the colours of heat maps (256 RGB triples in base64), and the model's state."""
        settings = self.settings
        return {
            "max_iterations": settings.max_iterations,
            "max_objects": settings.max_objects,
            "max_upload": int(settings.max_upload_mb * MEGA),
            "formats": list(FORMATS),
            "heat": base64.b64encode(pictures.heat_map(np.arange(256)[None] / 255).tobytes()).decode(),
            **self.status(request),
        }

    def status(self, request: Request) -> Answer:
        """The model's state, and what it is doing."""
        return {"model": self.engine.describe(), "stage": self.engine.stage}

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

        A later request in the same `slot` takes the place of an earlier one.
        """
        token, name = self._image(request)
        wanted = parse_object(request.get("object"), self.settings)
        slot = text(request.get("slot", ""), "slot", 100)
        steps = self.engine.trajectory(name, wanted, self.people.begin(token, f"solve {slot}"))
        answer: Answer = {"steps": base64.b64encode(steps.astype("<f4").tobytes()).decode(), "shape": list(steps.shape)}
        if isinstance(wanted.source, Words):
            answer["phrases"] = list(wanted.source.phrases)
        return answer

    def export(self, request: Request) -> Answer:
        """The file of an export `kind` for `objects` of an `image`, in base64."""
        token, name = self._image(request)
        objects = parse_objects(request.get("objects"), self.settings)
        opacity = number(request.get("opacity", 0.5), "opacity", 0, 1)
        image, title = self.engine.image(name), self.people.name_of(token, name)
        labels, scores = self.engine.segment(name, objects, self.people.begin(token, "export"))
        kind = text(request.get("kind"), "kind", 20)
        file_name, media, content = exports.make(kind, image, title, objects, labels, scores, opacity)
        return {"name": file_name, "type": media, "data": base64.b64encode(content).decode()}

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
            folder = self.settings.examples_folder
            found = sorted(folder.rglob("*")) if folder.is_dir() else []
            pictures = [path for path in found if path.suffix.lower() in SUFFIXES and not _is_truth(path, folder)]
            self._examples = {path.stem.replace("_", " "): path for path in pictures[:MAX_EXAMPLES]}
        return self._examples


def answered(method: Callable[[Request], Answer]) -> Callable[[Request], Answer]:
    """A request as a function of the same name that never raises and never tells a trace."""

    def function(request: Request) -> Answer:
        try:
            if not isinstance(request, Mapping):
                raise InputError("the request is not a mapping")
            return {"ok": True, **method(request)}
        except InputError as error:
            return {
                "ok": False,
                "error": str(error),
                "code": next(code for kind, code in CODES if isinstance(error, kind)),
            }
        except Exception:
            reference = secrets.token_hex(4)
            print(f"internal error {reference}:", file=sys.stderr)
            traceback.print_exc()
            return {
                "ok": False,
                "error": f"something went wrong on the server (reference {reference})",
                "code": "internal",
            }

    function.__name__ = method.__name__
    return function


def _is_truth(path: Path, folder: Path) -> bool:
    """Whether a file of the examples is a label map rather than a picture."""
    return any(part in LABEL_FOLDERS for part in path.relative_to(folder).parts[:-1])


def _size(image: NDArray[np.uint8]) -> tuple[int, int]:
    return image.shape[0], image.shape[1]


def _data_url(webp: bytes) -> str:
    return "data:image/webp;base64," + base64.b64encode(webp).decode()
