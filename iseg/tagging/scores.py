"""The arithmetic of TagCLIP (arXiv 2312.12828): patch probabilities -> refined maps -> class scores -> labels.

N = rows * columns patches, row-major; C = classes and background words; K <= C classes, which come first.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from iseg.masks import min_max

Box = tuple[int, int, int, int]  # (row, column) of the first cell, (row, column) past the last


def probabilities(features: Tensor, texts: Tensor, scale: float) -> Tensor:
    """Softmax over texts of the scaled cosine: features (..., D), unit texts (C, D) -> (..., C)."""
    return (scale * F.normalize(features, dim=-1) @ texts.T).softmax(-1)


class Affinity:
    """How much patches speak for each other: attention where enough blocks vote for an entry, 0 elsewhere.

    A block votes for the entries above its own mean. Blocks are added one by one and not kept, so that three matrices
    of N x N are all there ever is.

    Args:
        votes: blocks that an entry needs.
        layers: numbers of the blocks whose mean is taken.
    """

    def __init__(self, votes: int, layers: Sequence[int]) -> None:
        self.needed, self.layers = votes, list(layers)
        self._votes: Tensor | None = None  # (N, N) uint8
        self._sum: Tensor | None = None  # (N, N)

    def add(self, number: int, attention: Tensor) -> None:
        """Count the attention (N, N) of a block."""
        if self._votes is None or self._sum is None:
            self._votes = torch.zeros_like(attention, dtype=torch.uint8)
            self._sum = torch.zeros_like(attention)
        self._votes += attention > attention.mean()
        if number in self.layers:
            self._sum.add_(attention, alpha=self.layers.count(number))

    def matrix(self) -> Tensor:
        """(N, N) of the blocks added, which are then forgotten."""
        votes, total = self._votes, self._sum
        self._votes = self._sum = None
        if votes is None or total is None:
            raise ValueError("no block was added")
        return total.div_(len(self.layers)).mul_(votes >= self.needed)


def _end(end: int, size: int, published: bool) -> int:
    """End of a box, exclusive. The published code takes the last index for the size: what touches the edge loses it."""
    return min(end, size - 1) if published else end


def high_boxes(column: NDArray[np.float32], published: bool) -> list[Box]:
    """Boxes of the 8-connected regions of a map (rows, columns) in [0, 1] that lie above its mean.

    Compared in 256 steps, as published.
    """
    levels = (column * 255).astype(np.uint8)
    high = levels > int(float(column.mean()) * int(levels.max()))
    count, _, stats, _ = cv2.connectedComponentsWithStats(high.astype(np.uint8), connectivity=8)
    rows, columns = column.shape
    return [
        (int(y), int(x), _end(int(y + h), rows, published), _end(int(x + w), columns, published))
        for x, y, w, h, _ in stats[1:count]
    ]


def dual_mask(weights: Tensor, patch: Tensor, grid: tuple[int, int], published: bool) -> Tensor:
    """Dual-masking attention refinement.

    Patch probabilities are spread by the affinity; then, per class, once more with only the patches inside the boxes
    of its high regions as sources. A map without a high region keeps its first value.

    Args:
        weights: (N, N) of `Affinity`. patch: (N, C). grid: (rows, columns).

    Returns:
        (N, C) float32.
    """
    spread = weights @ patch
    inside = np.zeros((*grid, patch.shape[1]), np.float32)
    for index, column in enumerate(min_max(spread, (0,)).T.reshape(-1, *grid).cpu().numpy()):
        for top, left, bottom, right in high_boxes(column, published):
            inside[top:bottom, left:right, index] = 1
    kept = torch.from_numpy(inside).flatten(0, 1).to(patch)
    refined = weights @ (kept * patch)
    return torch.where(kept.amax(0) > 0, refined, spread) if not published else refined


def candidates(maps: Tensor, num_classes: int, position: float) -> list[int]:
    """Classes whose highest value lies above min + position * (max - min) of all maps (N, C), background included."""
    level = maps.min() + position * (maps.max() - maps.min())
    return torch.nonzero(maps[:, :num_classes].amax(0) > level).flatten().tolist()


def object_box(column: Tensor, grid: tuple[int, int], published: bool) -> tuple[Box, Tensor] | None:
    """Where a class map (N,) is above half of its range: the box of all such cells, and which cells of it (h, w) bool.

    None where no cell is left.
    """
    high = (min_max(column, (0,)) > 0.5).reshape(grid)
    rows, columns = high.any(1).nonzero().flatten(), high.any(0).nonzero().flatten()
    if not len(rows):
        return None
    top, left = int(rows[0]), int(columns[0])
    bottom = _end(int(rows[-1]) + 1, grid[0], published)
    right = _end(int(columns[-1]) + 1, grid[1], published)
    if bottom <= top or right <= left:
        return None
    return (top, left, bottom, right), high[top:bottom, left:right]


def select(scores: Sequence[float], threshold: float) -> list[int]:
    """Indices of the scores above min + threshold * (max - min); the highest alone when there is none."""
    low, high = min(scores), max(scores)
    chosen = [index for index, score in enumerate(scores) if score > low + threshold * (high - low)]
    return chosen or [max(range(len(scores)), key=scores.__getitem__)]
