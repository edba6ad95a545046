"""What is kept of one image, so that a prompt or a setting costs only what it changes."""

from collections import OrderedDict
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from iseg.regions import Regions
from iseg.results import Attended

KEPT_PASSES = 2  # the empty prompt's and the last text's


class ImageState:
    """An image, its latents, and the passes recorded of it, each with its entropy-reduced matrices.

    Args:
        pixels: (H, W, 3) uint8 RGB.
        kept_passes: the least recently used pass goes when there are more.
    """

    def __init__(self, pixels: NDArray[np.uint8], kept_passes: int = KEPT_PASSES) -> None:
        self.pixels, self.kept_passes = pixels, kept_passes
        self._latents: dict[tuple[str, int], Tensor] = {}
        self._passes: OrderedDict[str, Attended] = OrderedDict()
        self.regions: Regions | None = None  # kept by who found them; they go with the passes that they came of

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]

    @property
    def nbytes(self) -> int:
        """Bytes that are held: pixels, latents, passes and regions."""
        latents = sum(each.nbytes for each in self._latents.values())
        regions = self.regions.nbytes if self.regions else 0
        return self.pixels.nbytes + latents + regions + sum(each.nbytes for each in self._passes.values())

    def latents(self, resize: str, side: int, encode: Callable[[], Tensor]) -> Tensor:
        """The latents (1, C, h, w) of one way to resize to `side` pixels, encoded when first asked for."""
        key = resize, side
        if key not in self._latents:
            self._latents[key] = encode()
        return self._latents[key]

    def attended(self, key: str, record: Callable[[], Attended]) -> Attended:
        """The pass of a key (`Recipe.pass_key`), recorded when it is not kept."""
        if key not in self._passes:
            self._passes[key] = record()
            if len(self._passes) > self.kept_passes:
                self._passes.popitem(last=False)
                self.regions = None
        self._passes.move_to_end(key)
        return self._passes[key]

    @property
    def kept(self) -> int:
        """Number of passes that are kept."""
        return len(self._passes)

    def holds(self, key: str) -> bool:
        """Whether the pass of a key is kept."""
        return key in self._passes

    def forget(self) -> None:
        """Drop all that was computed."""
        self.forget_latents()
        self._passes.clear()
        self.regions = None

    def forget_latents(self) -> None:
        """Drop the latents; the passes stay."""
        self._latents.clear()

    def forget_oldest(self) -> bool:
        """Drop the least recently used pass; False if none is left."""
        if not self._passes:
            return False
        self._passes.popitem(last=False)
        self.regions = None
        return True
