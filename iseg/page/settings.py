"""Settings of the page: `configs/ui.yaml`, overridden from the command line."""

import secrets
from dataclasses import dataclass, field
from pathlib import Path

from iseg.errors import InputError
from iseg.settings import configs_folder

MEGA = 1_000_000
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Secret:
    """What lets people in: a user's password, or without a user a key in the address."""

    user: str
    key: str


@dataclass(frozen=True)
class UiSettings:
    """Settings of the page.

    Attributes:
        host: address to listen at. 127.0.0.1 = only this machine; others reach it through an SSH tunnel.
        port: TCP port.
        share: also make a public link through Gradio's relay.
        auth: USER:PASSWORD that people have to give. Without it, a page that others can reach (another host, or
            `share`) asks for a key, which is part of the address that the server prints.
        open: it asks for neither, where something else decides who may come (a Space, a proxy with a login).
        folder: images to work through, with what was done on each kept in a file beside it ("" = none).
        out: where that is kept instead.
        classes: class list with fixed ids: a name ("voc20") or a YAML file with a list `classes:`.
        model: auto (sd21-base if its weights are on this machine, else `fallback`), a backbone's name, a diffusers
            folder or a hub id.
        fallback: the model used, with a notice, when `model` cannot be had.
        device: auto, cpu, cuda or mps.
        dtype: auto, float32, float16 or bfloat16.
        size: side in pixels of the square that the model looks at: larger finds smaller things, more slowly. 0 = the
            model's own.
        examples: folder whose images the gallery shows: a path, or relative to the repository.
        view_size: longest side in pixels at which the browser draws.
        max_iterations: products with the self-attention that a trajectory holds.
        max_upload_mb: largest upload in millions of bytes.
        max_megapixels: largest image.
        cache_mb: memory for images and recorded attention in millions of bytes, over all people.
        max_objects: objects of one image, at most 255, which is what a label image can hold.
        max_cells: grid cells that one object's points and lines may touch.
    """

    host: str = "127.0.0.1"
    port: int = 7860
    share: bool = False
    auth: str = ""
    open: bool = False
    folder: str = ""
    out: str = ""
    classes: str = ""
    model: str = "auto"
    fallback: str = "tiny"
    device: str = "auto"
    dtype: str = "auto"
    size: int = 0
    examples: str = "examples"
    view_size: int = 1024
    max_iterations: int = 20
    max_upload_mb: float = 25
    max_megapixels: float = 50
    cache_mb: float = 2000
    max_objects: int = 200
    max_cells: int = 600

    secret: Secret | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        object.__setattr__(self, "secret", self._secret())
        for name in ("view_size", "max_upload_mb", "max_megapixels", "cache_mb", "max_objects", "max_cells"):
            if getattr(self, name) <= 0:
                raise InputError(f"{name} is {getattr(self, name)}: expected a number above 0")
        if self.max_objects > 255:
            raise InputError(f"max_objects is {self.max_objects}: expected at most 255")
        if self.size < 0:
            raise InputError(f"size is {self.size}: expected pixels, or 0 for the model's own")
        if not 0 <= self.port <= 65535:
            raise InputError(f"port is {self.port}: expected 0..65535")
        if not 1 <= self.max_iterations <= 100:
            raise InputError(f"max_iterations is {self.max_iterations}: expected 1..100")

    def _secret(self) -> Secret | None:
        user, colon, password = self.auth.partition(":")
        if self.auth and not (user and colon and password):
            raise InputError("auth is not USER:PASSWORD: expected both, with a colon between them")
        if self.auth and self.open:
            raise InputError("auth and open were given: expected one of them")
        if self.auth:
            return Secret(user, password)
        reachable = self.share or self.host not in LOOPBACK
        return Secret("", secrets.token_urlsafe(24)) if reachable and not self.open else None

    @property
    def examples_folder(self) -> Path:
        """The gallery's folder: a path, else in the clone, else what a wheel holds; it need not exist."""
        places = (Path(self.examples), configs_folder().parent / self.examples, Path(__file__).parent / "examples")
        return next((place for place in places if place.is_dir()), places[0])
