"""A sliding window over the image: logits averaged where windows overlap, their attention added (CLIPer 2411.13836)."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

Window = tuple[int, int, int, int]  # top, left, bottom, right, the last two exclusive


def windows(size: tuple[int, int], crop: int, stride: int) -> list[Window]:
    """Windows over a picture of `size` = (H, W), row by row; the last of an axis is pushed back inside.

    A picture smaller than the crop has one window of its own size on that axis.
    """
    rows, columns = (list(_spans(side, crop, stride)) for side in size)
    return [(top, left, bottom, right) for top, bottom in rows for left, right in columns]


def _spans(side: int, crop: int, stride: int) -> Iterator[tuple[int, int]]:
    for number in range(max(side - crop + stride - 1, 0) // stride + 1):
        end = min(number * stride + crop, side)
        yield max(end - crop, 0), end


def scaled(window: Window, patch: int) -> Window:
    """A window in pixels -> in patches."""
    top, left, bottom, right = window
    return top // patch, left // patch, bottom // patch, right // patch


def averaged(parts: Iterable[tuple[Window, Tensor]], grid: tuple[int, int]) -> Tensor:
    """The mean (K, rows, columns) of maps (K, h, w) where their windows, in patches, overlap."""
    total: Tensor | None = None
    cover = torch.zeros(grid)
    for (top, left, bottom, right), maps in parts:
        total = maps.new_zeros(len(maps), *grid) if total is None else total
        total[:, top:bottom, left:right] += maps
        cover[top:bottom, left:right] += 1
    if total is None:
        raise ValueError("no window was given")
    return total / cover.to(total)


class Overlay:
    """Adds up what windows say of a grid of patches.

    Args:
        grid: (rows, columns) of the whole image.
    """

    def __init__(self, grid: tuple[int, int]) -> None:
        self.grid = grid
        self._logits: Tensor | None = None  # (L, R, h, w)
        self._attention: Tensor | None = None  # (hw, hw)
        self._cover = torch.zeros(grid)
        self._pairs: Tensor | None = None  # (hw, hw)

    def add(self, window: Window, logits: Tensor, attention: Tensor) -> None:
        """Add a window in units of patches: its logits (L, R, n) and its attention (n, n), row-major."""
        top, left, bottom, right = window
        if self._logits is None or self._attention is None or self._pairs is None:
            count = self.grid[0] * self.grid[1]
            self._logits = logits.new_zeros(*logits.shape[:2], *self.grid)
            self._attention, self._pairs = attention.new_zeros(count, count), attention.new_zeros(count, count)
        self._logits[:, :, top:bottom, left:right] += logits.unflatten(2, (bottom - top, right - left))
        self._cover[top:bottom, left:right] += 1  # on the CPU
        numbers = torch.arange(self.grid[0] * self.grid[1]).reshape(self.grid)
        places = numbers[top:bottom, left:right].flatten().to(attention.device)
        self._attention[places[:, None], places] += attention
        self._pairs[places[:, None], places] += 1

    def logits(self) -> Tensor:
        """(L, R, hw): the mean of the windows, spread by their attention.

        A place whose attention went to class tokens alone keeps to itself.
        """
        if self._logits is None or self._attention is None or self._pairs is None:
            raise ValueError("no window was added")
        mean = (self._logits / self._cover.to(self._logits)).flatten(2)
        attention = self._attention / (self._pairs + 1e-5)
        sums = attention.sum(1, keepdim=True)
        attention /= torch.where(sums > 0, sums, torch.ones_like(sums))
        attention.diagonal().add_((sums[:, 0] <= 0).to(attention))
        return mean @ attention
