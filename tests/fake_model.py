"""A stand-in for a diffusion model in tests of the runner: class maps depend on words and the image's colours."""

import os
import threading
import time
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from iseg import ClassWord, ISeg
from iseg.backbones.load import pick_device, pick_dtype
from iseg.backbones.table import BackboneRow
from iseg.backbones.unet import UNetBackbone
from iseg.errors import InputError
from iseg.evaluate import outputs
from iseg.recipe import Recipe
from iseg.results import Attended

if TYPE_CHECKING:
    import pytest

GRID = 16
DEVICE = torch.device("cpu")  # what it says it is on


class FakeModel(ISeg):
    """`encoded` and `passes` count images that went through "VAE" and "UNet".

    Each pass takes FAKE_DELAY seconds and waits for the file FAKE_GO, where there is to be one.

    `resizing` holds the threads that resized images.

    An image with a class of `broken` raises what is given there. FAKE_WORDS words fit into one prompt, by default all.
    """

    def __init__(self, recipe: Recipe, broken: dict[str, Exception] | None = None) -> None:
        backbone = BackboneRow("fake", [], {}, {}, image_size=GRID)
        components = UNetBackbone(backbone, "fake", None, nn.Module(), None, nn.Module(), None, DEVICE, torch.float32)
        super().__init__(components, recipe)
        self.encoded, self.passes, self.broken = 0, 0, broken or {}
        self.resizing: set[threading.Thread] = set()

    def square(self, image: np.ndarray, recipe: Recipe) -> Tensor:
        self.resizing.add(threading.current_thread())
        return super().square(image, recipe)

    def encode_squares(self, squares: Sequence[Tensor]) -> Tensor:
        self.encoded += len(squares)
        return torch.stack(list(squares))

    def attend_latents(
        self, latents: Tensor, words: Sequence[Sequence[ClassWord]], sizes: Sequence[tuple[int, ...]], recipe: Recipe
    ) -> list[Attended]:
        attended = []
        for square, asked, size in zip(latents, words, sizes, strict=True):
            for word in asked:
                if word.word in self.broken:
                    raise self.broken[word.word]
            _take_time()
            self.passes += 1
            names = [word.word for word in asked]
            step = max(1, int(os.environ.get("FAKE_WORDS", len(names))))
            starts = range(0, max(1, len(names)), step)  # no word: the empty prompt
            first, *further = [one_pass(square, size, names[i : i + step], recipe) for i in starts]
            first.further = further
            attended.append(first)
        return attended


def _take_time() -> None:
    time.sleep(float(os.environ.get("FAKE_DELAY", "0")))
    go = os.environ.get("FAKE_GO")
    while go and not os.path.exists(go):
        time.sleep(0.01)


def one_pass(square: Tensor, size: tuple[int, ...], names: list[str], recipe: Recipe) -> Attended:
    """Maps of K words: how much the cells (3, S, S) of an image are like a colour made from each word."""
    cells = square.flatten(1).T  # (HW, 3)
    attention = (-20 * torch.cdist(cells, cells) ** 2).exp() + 1e-3
    colours = [zlib.crc32(name.encode()) for name in names]
    targets = torch.tensor([[c & 255, c >> 8 & 255, c >> 16 & 255] for c in colours]).reshape(-1, 3) / 255
    likeness = (-recipe.enhancement * torch.cdist(cells, targets) ** 2).exp()  # (HW, K)
    maps = likeness.T.reshape(len(names), *square.shape[1:])
    return Attended(maps, attention, [[k] for k in range(len(names))], names, (size[0], size[1]))


def install(broken: dict[str, Exception] | None = None) -> list[FakeModel]:
    """Let the model "fake" be a `FakeModel`; the list fills with those made."""
    made: list[FakeModel] = []

    def weights_digest(model: str, *_: str | None) -> dict[str, str]:
        if model != "fake":
            raise InputError(f"no model {model!r}")
        return {"unet": "fake"}

    def from_pretrained(_model: str, recipe: Recipe, *_: Any, **__: Any) -> FakeModel:
        made.append(FakeModel(recipe, broken))
        return made[-1]

    ISeg.from_pretrained = from_pretrained  # type: ignore[assignment, method-assign]  # a stand-in
    outputs.weights_digest = weights_digest  # type: ignore[assignment]  # a stand-in
    outputs.row_name = lambda *_: "fake"
    outputs.precision = lambda model, backbone, dtype, device: pick_dtype(dtype, pick_device(device))
    return made


if __name__ == "__main__":  # the runner with this model, in a process of its own
    import sys

    from iseg.evaluate import main

    install()
    sys.exit(main(sys.argv[1:]))


def undo_install(monkeypatch: "pytest.MonkeyPatch") -> None:
    """Let what `install` replaces come back at the end of a test."""
    monkeypatch.setattr(ISeg, "from_pretrained", ISeg.from_pretrained)
    for name in ("weights_digest", "precision", "row_name"):
        monkeypatch.setattr(outputs, name, getattr(outputs, name))
