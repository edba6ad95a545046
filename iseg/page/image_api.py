"""Requests about images: bringing one, the gallery's, and looking at one closely."""

import base64
import binascii
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from iseg.errors import InputError
from iseg.page import gallery
from iseg.page.answers import Answer, Request
from iseg.page.engine import Engine
from iseg.page.parse import number, text
from iseg.page.people import People, valid_token
from iseg.page.settings import MEGA
from iseg.page.uploads import decode, preview, view_size

THUMBNAIL = 192
TILE = 2048  # pixels of a side of a tile at most


class ImageApi:
    """Upload, examples, tiles; and whose image an image is."""

    def __init__(self, engine: Engine, people: People) -> None:
        self.engine, self.people, self.settings = engine, people, engine.settings
        self._examples: dict[str, Path] | None = None

    def requests(self) -> list[Callable[[Request], Answer]]:
        """The requests about images."""
        return [self.upload, self.examples, self.example, self.tile]

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
        return self.open_image(request, decode(content, self.settings), name)

    def examples(self, request: Request) -> Answer:
        """Names and small pictures of the gallery's images."""
        pictures = []
        for name, path in self._example_files().items():
            image = decode(path.read_bytes(), self.settings)
            pictures.append({"name": name, "picture": _data_url(preview(image, view_size(_size(image), THUMBNAIL)))})
        return {"examples": pictures}

    def example(self, request: Request) -> Answer:
        """Open an image of the gallery by its `name`."""
        name = request.get("name")
        path = self._example_files().get(name) if isinstance(name, str) else None
        if path is None:
            raise InputError(f"there is no example {name!r:.80}")
        return self.open_image(request, decode(path.read_bytes(), self.settings), path.name)

    def tile(self, request: Request) -> Answer:
        """The part of an `image` within `box` (x0, y0, x1, y1), at the image's own resolution."""
        image = self.engine.image(self.owned(request)[1])
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

    def open_image(self, request: Request, image: NDArray[np.uint8], name: str) -> Answer:
        """Give a person an image (H, W, 3) under a name; what the page needs to show it."""
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

    def owned(self, request: Request) -> tuple[str, str]:
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
