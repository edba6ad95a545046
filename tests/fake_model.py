"""A stand-in for a diffusion model in tests of the runner: class maps depend on words and the image's colours."""

import os
import time
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from iseg import ISeg
from iseg.backbone import Components, pick_device, pick_dtype
from iseg.backbones import Backbone
from iseg.config import Recipe
from iseg.errors import InputError
from iseg.evaluate import outputs
from iseg.images import to_square
from iseg.pipeline import class_words
from iseg.results import Attended

GRID = 16


class FakeModel(ISeg):
    """`passes` counts images that went through the "UNet"; FAKE_DELAY seconds are spent on each.

    An image with a class of `broken` raises what is given there. FAKE_WORDS words fit into one prompt, by default all.
    """

    def __init__(self, recipe: Recipe, broken: dict[str, Exception] | None = None) -> None:
        backbone = Backbone("fake", [], {}, {}, image_size=GRID)
        components = Components(backbone, "fake", None, None, None, None, None, torch.device("cpu"), torch.float32)
        super().__init__(components, recipe)
        self.passes, self.broken = 0, broken or {}

    def attend(self, images: Sequence[np.ndarray], classes: Sequence[Sequence[Any]], **settings: Any) -> list[Attended]:
        recipe = self.recipe.changed(**settings)
        attended = []
        for image, words in zip(images, map(class_words, classes), strict=True):
            for word in words:
                if word.word in self.broken:
                    raise self.broken[word.word]
            time.sleep(float(os.environ.get("FAKE_DELAY", "0")))
            self.passes += 1
            names = [word.word for word in words]
            step = int(os.environ.get("FAKE_WORDS", len(names)))
            first, *further = [one_pass(image, names[i : i + step], recipe) for i in range(0, len(names), step)]
            first.further = further
            attended.append(first)
        return attended


def one_pass(image: np.ndarray, names: list[str], recipe: Recipe) -> Attended:
    """Maps of K words: how much the cells of an image (H, W, 3) are like a colour made from each word."""
    cells = to_square(image, GRID, "torch").flatten(1).T  # (HW, 3)
    attention = (-20 * torch.cdist(cells, cells) ** 2).exp() + 1e-3
    colours = [zlib.crc32(name.encode()) for name in names]
    targets = torch.tensor([[c & 255, c >> 8 & 255, c >> 16 & 255] for c in colours]) / 255
    likeness = (-recipe.enhancement * torch.cdist(cells, targets) ** 2).exp()  # (HW, K)
    maps = likeness.T.reshape(-1, GRID, GRID)
    return Attended(maps, attention, [[k] for k in range(len(names))], names, (image.shape[0], image.shape[1]))


def install(broken: dict[str, Exception] | None = None) -> list[FakeModel]:
    """Let the model "fake" be a `FakeModel`; the list fills with those made."""
    made: list[FakeModel] = []

    def weights_digest(model: str, _: str | None) -> str:
        if model != "fake":
            raise InputError(f"no model {model!r}")
        return "fake"

    def from_pretrained(_model: str, recipe: Recipe, *_: Any, **__: Any) -> FakeModel:
        made.append(FakeModel(recipe, broken))
        return made[-1]

    ISeg.from_pretrained = from_pretrained
    outputs.weights_digest = weights_digest
    outputs.precision = lambda _model, _backbone, dtype, device: pick_dtype(dtype, pick_device(device))
    return made


if __name__ == "__main__":  # the runner with this model, in a process of its own
    import sys

    from iseg.evaluate import main

    install()
    sys.exit(main(sys.argv[1:]))
