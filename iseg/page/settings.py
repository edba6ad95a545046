"""Settings of the page: `configs/ui.yaml`, overridden from the command line."""

from dataclasses import dataclass
from pathlib import Path

from iseg.errors import InputError
from iseg.settings import configs_folder

MEGA = 1_000_000


@dataclass(frozen=True)
class UiSettings:
    """Settings of the page.

    Attributes:
        host: address to listen at. 127.0.0.1 = only this machine; others reach it through an SSH tunnel.
        port: TCP port.
        share: also make a public link through Gradio's relay.
        model: auto (sd21-base if its weights are on this machine, else `fallback`), a backbone's name, a diffusers
            folder or a hub id.
        fallback: the model used, with a notice, when `model` cannot be had.
        device: auto, cpu, cuda or mps.
        dtype: auto, float32, float16 or bfloat16.
        examples: folder whose images the gallery shows: a path, or relative to the repository.
        view_size: longest side in pixels at which the browser draws.
        max_iterations: products with the self-attention that a trajectory holds.
        max_upload_mb: largest upload in millions of bytes.
        max_megapixels: largest image.
        cache_mb: memory for images and recorded attention in millions of bytes, over all people.
        max_objects: objects of one person.
        max_cells: grid cells that one object's points and lines may touch.
    """

    host: str = "127.0.0.1"
    port: int = 7860
    share: bool = False
    model: str = "auto"
    fallback: str = "tiny"
    device: str = "auto"
    dtype: str = "auto"
    examples: str = "examples"
    view_size: int = 1024
    max_iterations: int = 20
    max_upload_mb: float = 25
    max_megapixels: float = 50
    cache_mb: float = 2000
    max_objects: int = 40
    max_cells: int = 600

    def __post_init__(self) -> None:
        for name in ("view_size", "max_upload_mb", "max_megapixels", "cache_mb", "max_objects", "max_cells"):
            if getattr(self, name) <= 0:
                raise InputError(f"{name} is {getattr(self, name)}: expected a number above 0")
        if not 0 <= self.port <= 65535:
            raise InputError(f"port is {self.port}: expected 0..65535")
        if not 1 <= self.max_iterations <= 100:
            raise InputError(f"max_iterations is {self.max_iterations}: expected 1..100")

    @property
    def examples_folder(self) -> Path:
        """The gallery's folder; it need not exist."""
        return Path(self.examples) if Path(self.examples).is_dir() else configs_folder().parent / self.examples
