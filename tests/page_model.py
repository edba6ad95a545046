"""A stand-in for a diffusion model in tests of the page: attention by likeness of colour, words are colours."""

import time
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from iseg import ClassWord, ISeg
from iseg.backbones.table import BackboneRow
from iseg.backbones.unet import UNetBackbone
from iseg.files.images import to_square
from iseg.recipe import Recipe
from iseg.results import Attended

COLOURS = {"red": (1, 0, 0), "green": (0, 1, 0), "blue": (0, 0, 1), "white": (1, 1, 1)}
GRID = 24


class ColourModel(ISeg):
    """Cells attend to cells of their own colour; `passes` counts what a UNet would have to do."""

    def __init__(self, delay: float = 0) -> None:
        backbone = BackboneRow("colours", [], {}, {}, image_size=GRID, words=list(COLOURS), note="knows colours")
        none = nn.Module()
        components = UNetBackbone(backbone, "colours", None, none, None, none, None, torch.device("cpu"), torch.float32)
        super().__init__(components, Recipe(iterations=5, entropy=0.1, background=0.5))
        self.delay, self.passes, self.encoded = delay, 0, 0

    def encode(self, images: Sequence[np.ndarray], recipe: Recipe) -> Tensor:
        self.encoded += 1
        return torch.stack([to_square(image, GRID, "torch") for image in images])

    def attend_latents(
        self, latents: Tensor, words: Sequence[Sequence[ClassWord]], sizes: Sequence[tuple[int, ...]], recipe: Recipe
    ) -> list[Attended]:
        time.sleep(self.delay)
        self.passes += 1
        cells = latents[0].flatten(1).T  # (HW, 3)
        attention = (-30 * torch.cdist(cells, cells) ** 2).exp() + 1e-4
        attention = attention / attention.sum(1, keepdim=True)
        classes = [word.word for word in words[0]]
        targets = torch.tensor([COLOURS[word] for word in classes], dtype=torch.float32).reshape(-1, 3)
        likeness = (-4 * torch.cdist(cells, targets) ** 2).exp().T.reshape(-1, GRID, GRID)
        spans = [[k] for k in range(len(classes))]
        return [Attended(likeness if classes else None, attention, spans, classes, (sizes[0][0], sizes[0][1]))]


def blocks_image(height: int = 90, width: int = 150) -> np.ndarray:
    """Grey with a red block on the left and a blue one on the right: (H, W, 3) uint8."""
    image = np.full((height, width, 3), 128, np.uint8)
    image[height // 4 : 3 * height // 4, width // 10 : 4 * width // 10] = (255, 0, 0)
    image[height // 4 : 3 * height // 4, 6 * width // 10 : 9 * width // 10] = (0, 0, 255)
    return image
