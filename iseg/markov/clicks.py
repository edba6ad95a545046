"""What an image keeps for clicks: the chain, and of every click so far the distance map and its profile."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from iseg.markov.chain import balance, count_steps, sharpen, start_state
from iseg.markov.flood import flood
from iseg.markov.fuse import fuse, margins
from iseg.markov.radius import AREA_LIMIT, Profile, profile, radii
from iseg.upsample import joint_bilateral

KEPT_CLICKS = 50
POWER = 4  # steps made by one reading of a large matrix
POWER_FROM = 2048  # cells: a smaller matrix stays in the processor's cache


class Click(NamedTuple):
    """A click at a pixel (x, y) of the picture; `inside`: it belongs to the object."""

    x: float
    y: float
    inside: bool = True


class Chain:
    """The transition matrix (HW, HW) of an image, and of a large one on the CPU a power of it.

    attention: (HW, HW) self-attention, rows = queries.
    """

    def __init__(self, attention: Tensor) -> None:
        with torch.inference_mode():
            self.matrix = balance(sharpen(attention))
            self.power: Tensor | None = None
            if len(self.matrix) >= POWER_FROM and self.matrix.device.type == "cpu":
                self.power = torch.linalg.matrix_power(self.matrix, POWER)

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self.matrix.nbytes + (0 if self.power is None else self.power.nbytes)


class MarkovMaps:
    """The Markov chain of one image and the distance maps of its clicks.

    Args:
        chain: of a square grid or of `grid` = (h, w).
        guide: (3, H, W) picture in [0, 1] in whose pixels clicks are given and masks come out.
        cells, range_, stride: see `joint_bilateral`.
        flooded: separate things of the same kind by the flood fill.
    """

    def __init__(
        self,
        chain: Chain,
        guide: Tensor,
        grid: tuple[int, int] | None = None,
        cells: float = 1.0,
        range_: float = 0.1,
        stride: int = 1,
        flooded: bool = True,
    ) -> None:
        side = round(len(chain.matrix) ** 0.5)
        self.grid = grid or (side, side)
        self.chain, self.guide = chain, guide
        self.cells, self.range, self.stride, self.flooded = cells, range_, stride, flooded
        self._distances: OrderedDict[tuple[float, float], tuple[NDArray[np.float32], Profile]] = OrderedDict()

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the picture."""
        return self.guide.shape[1], self.guide.shape[2]

    @property
    def nbytes(self) -> int:
        """Bytes of the distance maps; chain and picture are the image's."""
        return sum(distance.nbytes + of.nbytes for distance, of in self._distances.values())

    def pixel(self, click: Click) -> tuple[int, int]:
        """(row, column) of a click."""
        height, width = self.size
        return min(height - 1, int(click.y)), min(width - 1, int(click.x))

    def counts(self, clicks: Sequence[Click]) -> Tensor:
        """Steps of the chain (n, h, w) from each click to each cell."""
        starts = torch.stack([start_state((each.x, each.y), self.size, self.grid).flatten() for each in clicks])
        starts = starts.to(self.chain.matrix)
        with torch.inference_mode():
            steps = count_steps(self.chain.matrix, starts, power=self.chain.power, power_of=POWER)
        return steps.unflatten(1, self.grid)

    def distance(self, click: Click) -> NDArray[np.float32]:
        """The distance map (H, W) in [0, 1] of a click."""
        return self._known(click)[0]

    def _known(self, click: Click) -> tuple[NDArray[np.float32], Profile]:
        """The distance map of a click and its profile, which no other click changes; the last fifty are kept."""
        key = (click.x, click.y)
        if key not in self._distances:
            distance = self._distance(click)
            self._distances[key] = distance, profile(distance)
            if len(self._distances) > KEPT_CLICKS:
                self._distances.popitem(last=False)
        self._distances.move_to_end(key)
        return self._distances[key]

    def _distance(self, click: Click) -> NDArray[np.float32]:
        with torch.inference_mode():
            guide = self.guide.to(self.chain.matrix.device)
            large = joint_bilateral(self.counts([click]), guide, self.cells, self.range, self.stride)[0]
            steps = _unit(large.cpu().numpy())
        if not self.flooded:
            return steps
        return _unit(flood(steps, *self.pixel(click)))

    def decide(
        self, clicks: Sequence[Click], area_limit: float | None = AREA_LIMIT
    ) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        """The mask (H, W) of clicks, and the score (H, W) in [0, 1] of `margins`."""
        known = [self._known(each) for each in clicks]
        distances = [distance for distance, _ in known]
        signs, pixels = [each.inside for each in clicks], [self.pixel(each) for each in clicks]
        reach = radii(distances, signs, pixels, area_limit, [of for _, of in known])
        return fuse(distances, reach, signs, pixels), margins(distances, reach, signs)


def _unit(values: NDArray) -> NDArray:
    peak = values.max()
    return values / peak if peak > 0 else values
