"""Scores of the page's objects -> labels at the image's own size, a strip of rows at a time.

The decision is `iseg.masks.label_map`; here is what makes its scores: strips, so that a large image with many objects
stays within bounded memory, and what was corrected by hand.
"""

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from iseg import masks
from iseg.page.corrections import Region, clean_region, covered
from iseg.page.objects import PageObject

STRIP = 1_000_000  # pixels of a strip, about
EMPTY_SCORE = 1e-6  # of what clean-up added where the map is zero

Step = Callable[[int, int], None]  # (done, all): says how far it is, and raises if it is no longer wanted


class Rows:
    """The scores of one object (h', w'), upsampled to (H, W) some rows at a time, as `masks.resize` does in one go."""

    def __init__(self, score: Tensor, size: tuple[int, int]) -> None:
        self.height, self.wide = size[0], masks.resize(score[None], (score.shape[0], size[1]))[0]  # (h', W)

    def __call__(self, rows: range) -> Tensor:
        """Scores (h, W) float32 in [0, 1] of rows of the image."""
        side = len(self.wide)
        places = ((torch.arange(rows.start, rows.stop) + 0.5) * (side / self.height) - 0.5).clamp_min(0)
        lower = places.long().clamp_max(side - 1)
        weight = (places - lower)[:, None]
        upper = (lower + 1).clamp_max(side - 1)
        return torch.lerp(self.wide[lower], self.wide[upper], weight)


@dataclass
class Decided:
    """Labels (H, W) uint8, k + 1 = k-th object, and how many pixels (K) and which mean score (K) each object has."""

    labels: NDArray[np.uint8]
    areas: NDArray[np.int64]
    scores: NDArray[np.float64]


def decide(
    scores: Sequence[Tensor], objects: Sequence[PageObject], size: tuple[int, int], step: Step = lambda *_: None
) -> Decided:
    """The labels of objects whose scores (h', w') in [0, 1] are given, on an image of size (H, W)."""
    (height, width), count = size, len(objects)
    per = max(1, STRIP // width)
    strips = [range(top, min(height, top + per)) for top in range(0, height, per)]
    total = len(strips) + count
    sources = [Rows(score, size) for score in scores]
    kept: list[bytes | None] = []  # regions after clean-up, packed: 40 of a large image fit
    for k, each in enumerate(objects):
        step(k, total)
        kept.append(None if each.clean.is_idle else _cleaned(sources[k], each, size, strips))
    labels = np.zeros(size, np.uint8)
    areas, sums = np.zeros(count, np.int64), np.zeros(count)
    unpacked = [_unpack(region, size) for region in kept]
    for s, rows in enumerate(strips):
        step(count + s, total)
        claims = (_claim(sources[k], each, rows, width, unpacked[k]) for k, each in enumerate(objects))
        limits = [0.0 if each.is_corrected else each.threshold for each in objects]
        found = masks.label_map(claims, range(1, count + 1), limits, rescale=False)
        labels[rows.start : rows.stop] = found.numpy()
        present = torch.bincount(found.flatten(), minlength=count + 1)[1:]
        areas += present.numpy()
        for k in torch.nonzero(present).flatten().tolist():
            sums[k] += float(sources[k](rows)[found == k + 1].double().sum())
    return Decided(labels, areas, sums / np.maximum(areas, 1))


def _claim(source: Rows, each: PageObject, rows: range, width: int, cleaned: "Packed | None") -> Tensor:
    """Scores (h, W) with which an object asks for pixels: over 1 where it was painted, 0 where it is not."""
    score = source(rows)
    if not each.is_corrected:
        return score
    if cleaned is None:
        score = torch.where(score >= each.threshold, score, 0)
    else:
        region = torch.from_numpy(cleaned(rows, width))
        score = torch.where(region > 0, score.clamp_min(EMPTY_SCORE), 0)
    for stroke in each.strokes:
        place = covered(stroke, width, rows)
        if place is not None:
            score[place[0], place[1]][torch.from_numpy(place[2])] = 0.0 if stroke.erases else 1.0 + stroke.order + 1
    return score


def _cleaned(source: Rows, each: PageObject, size: tuple[int, int], strips: Sequence[range]) -> bytes:
    region: Region = np.zeros(size, np.uint8)
    for rows in strips:
        score = source(rows)
        region[rows.start : rows.stop] = (score >= each.threshold) & (score > 0)
    return zlib.compress(np.packbits(clean_region(region, each.clean, each.marks), axis=1).tobytes(), 1)


class Packed:
    """A region (H, W) kept as compressed bits, read row by row from the top."""

    def __init__(self, packed: bytes, width: int) -> None:
        self.bytes_per_row = -(-width // 8)
        self._stream = _pieces(packed)
        self._rest = b""
        self._at = 0

    def __call__(self, rows: range, width: int) -> NDArray[np.uint8]:
        """The next rows (h, W), 0 or 1. Raises ValueError if they are not the next."""
        if rows.start != self._at:
            raise ValueError(f"row {rows.start} was asked for: expected {self._at}")
        self._at = rows.stop
        wanted = len(rows) * self.bytes_per_row
        while len(self._rest) < wanted:
            self._rest += next(self._stream)
        taken, self._rest = self._rest[:wanted], self._rest[wanted:]
        bits = np.frombuffer(taken, np.uint8).reshape(len(rows), -1)
        return np.unpackbits(bits, axis=1, count=width)


def _pieces(packed: bytes, most: int = 1 << 18) -> Iterator[bytes]:
    stream = zlib.decompressobj()
    while packed:
        piece = stream.decompress(packed, most)
        packed = stream.unconsumed_tail
        yield piece
    yield stream.flush()


def _unpack(region: bytes | None, size: tuple[int, int]) -> Packed | None:
    return None if region is None else Packed(region, size[1])
