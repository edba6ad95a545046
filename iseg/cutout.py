"""Clicks -> a mask whose border follows the picture: Markov maps say where, colours and edges say exactly where.

An extension of M2N2 (arXiv 2411.10411) in the manner of GrabCut (Rother et al. 2004): in a window around what the maps
give, inside and outside are told apart by the maps' score, by the colours of either, and by the clicks; the border
lies where the picture has edges.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from iseg.markov import Click, MarkovMaps
from iseg.markov.colours import colour_bins, log_ratio
from iseg.markov.cut import cut, edge_weights
from iseg.pieces import keep_pieces

FIXED = 50.0  # cost of a clicked pixel on the wrong side
NEAREST_SCORE = 0.02  # scores closer to 0 and 1 are as good as these


@dataclass(frozen=True)
class CutSettings:
    """Chosen on scenes of seed 41 (docs/clicks.md).

    Attributes:
        side: longest side in pixels of the window that is cut.
        margin: of the window around what the maps give, as a share of its longer side; MARGIN_PIXELS beside it.
        score: weight of the log odds of the maps' score, colour: of the log ratio of the colours.
        strength, least, colours: of the border, see `edge_weights`.
        click_radius: pixels of the window around a click that are sure.
        click_weight: what the colours around one click count beside those of all of the inside or outside.
        repeats: of colours and cut; rounds: of each cut.
    """

    side: int = 240
    margin: float = 0.3
    score: float = 0.5
    colour: float = 1.0
    strength: float = 4.0
    least: float = 0.1
    colours: float = 0.08
    click_radius: int = 3
    click_weight: float = 0.1
    repeats: int = 3
    rounds: int = 100


DEFAULTS = CutSettings()
MARGIN_PIXELS = 6
SMALLEST = 8  # pixels of a window's side
UNCHANGED = 1e-3  # share of pixels: fewer that change end the repeats


@dataclass(frozen=True)
class Window:
    """A part of a picture, rows `top` to `bottom` and columns `left` to `right` (exclusive), cut at (height, width)."""

    top: int
    bottom: int
    left: int
    right: int
    height: int
    width: int

    def pixel(self, click: Click) -> tuple[int, int] | None:
        """(row, column) in the window of a click in pixels of the picture, None outside of it."""
        row = int((click.y + 0.5 - self.top) * self.height / (self.bottom - self.top) // 1)
        column = int((click.x + 0.5 - self.left) * self.width / (self.right - self.left) // 1)
        return (row, column) if 0 <= row < self.height and 0 <= column < self.width else None


def cut_clicks(
    maps: MarkovMaps, picture: NDArray[np.uint8], clicks: Sequence[Click], settings: CutSettings = DEFAULTS
) -> NDArray[np.bool_]:
    """The mask (H, W) of clicks on a picture.

    Args:
        maps: of the picture, at any size.
        picture: (H, W, 3) RGB.
        clicks: in pixels (x, y) of the picture. Negative ones alone give nothing.
    """
    size = picture.shape[0], picture.shape[1]
    mask = np.zeros(size, bool)
    if not any(each.inside for each in clicks):
        return mask
    down, across = maps.size[0] / size[0], maps.size[1] / size[1]
    score = maps.decide([Click(each.x * across, each.y * down, each.inside) for each in clicks])[1]
    inside = [(each.x * across, each.y * down) for each in clicks if each.inside]
    piece = keep_pieces((score >= 0.5).astype(np.uint8), inside, largest=True)
    window = window_around(piece, size, clicks, settings)
    part = (slice(window.top, window.bottom), slice(window.left, window.right))
    colours = cv2.resize(picture[part], (window.width, window.height), interpolation=cv2.INTER_AREA)
    odds, first = _sampled(score, size, window), _sampled(piece.astype(np.float32), size, window) >= 0.5
    unit = (colours / 255).astype(np.float32)
    cut_out = cut_window(unit, odds, first, _placed(window, clicks), settings)
    shape = (window.right - window.left, window.bottom - window.top)
    mask[part] = cv2.resize(cut_out, shape, interpolation=cv2.INTER_LINEAR) >= 0.5
    return mask


def window_around(
    piece: NDArray[np.uint8], size: tuple[int, int], clicks: Sequence[Click], settings: CutSettings = DEFAULTS
) -> Window:
    """The window around a piece (h, w) of 0 and 1 and all positive clicks, with a margin, in a picture of `size`."""
    rows, columns = (np.nonzero(piece.any(axis))[0] for axis in (1, 0))
    ends = []
    for found, small, large, at in (
        (rows, piece.shape[0], size[0], [each.y for each in clicks if each.inside]),
        (columns, piece.shape[1], size[1], [each.x for each in clicks if each.inside]),
    ):
        places = [*(found[[0, -1]] * large / small), (found[-1] + 1) * large / small - 1] if len(found) else []
        ends.append((min([*places, *at]), max([*places, *at]) + 1))
    margin = settings.margin * max(high - low for low, high in ends) + MARGIN_PIXELS
    (top, bottom), (left, right) = ((max(0, int(low - margin)), min(large, int(high + margin) + 1))
                                    for (low, high), large in zip(ends, size, strict=True))  # fmt: skip
    scale = min(1.0, settings.side / max(bottom - top, right - left))
    height, width = (max(SMALLEST, round(extent * scale)) for extent in (bottom - top, right - left))
    return Window(top, bottom, left, right, height, width)


def cut_window(
    colours: NDArray[np.float32],
    score: NDArray[np.float32],
    first: NDArray[np.bool_],
    clicks: Sequence[tuple[int, int, bool]],
    settings: CutSettings = DEFAULTS,
) -> NDArray[np.float32]:
    """Cut a window: how much each pixel is inside (h, w) in [0, 1], at least 0.5 inside.

    Args:
        colours: (h, w, 3) in [0, 1].
        score: (h, w) in [0, 1] of the maps.
        first: (h, w), the mask that the first colours are taken from.
        clicks: (row, column, inside) in the window; pieces without a positive one go.
    """
    near = np.clip(score, NEAREST_SCORE, 1 - NEAREST_SCORE)
    from_score = settings.score * np.log(near / (1 - near))
    disks = [(_disk(first.shape, row, column, settings.click_radius), inside) for row, column, inside in clicks]
    fixed = np.zeros(first.shape, np.float32)
    for sign in (True, False):  # where disks overlap it is outside, but for the clicked pixels
        for disk, inside in disks:
            if inside is sign:
                fixed[disk] = -FIXED if inside else FIXED
    for row, column, inside in clicks:
        fixed[row, column] = -FIXED if inside else FIXED
    weights = edge_weights(colours, settings.strength, settings.least, settings.colours)
    bins, mask = colour_bins(colours), first
    inner = first.astype(np.float32)
    for _ in range(settings.repeats):
        shares = [each / max(each.sum(), 1) for each in (mask.astype(np.float64), 1.0 - mask)]
        for disk, inside in disks:
            shares[0 if inside else 1] += settings.click_weight * disk / disk.sum()
        cost = -(from_score + settings.colour * log_ratio(bins, *shares))
        inner = cut(np.where(fixed != 0, fixed, cost).astype(np.float32), *weights, settings.rounds)
        before, mask = mask, inner >= 0.5
        if (mask != before).mean() < UNCHANGED:
            break
    through = [(column, row) for row, column, inside in clicks if inside]
    kept = keep_pieces(mask.astype(np.uint8), through, largest=False)
    return np.where(kept > 0, inner, np.minimum(inner, np.float32(0.49)))


def _placed(window: Window, clicks: Sequence[Click]) -> list[tuple[int, int, bool]]:
    """Clicks as (row, column, inside) of the window; those outside of it are left out."""
    pixels = [(window.pixel(each), each.inside) for each in clicks]
    return [(*pixel, inside) for pixel, inside in pixels if pixel is not None]


def _disk(shape: tuple[int, ...], row: int, column: int, radius: int) -> NDArray[np.bool_]:
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return (rows - row) ** 2 + (columns - column) ** 2 <= radius**2


def _sampled(values: NDArray, size: tuple[int, int], window: Window) -> NDArray[np.float32]:
    """A map (h, w) of a whole picture of `size`, bilinear at the pixels of a window."""
    steps, shifts = [], []
    for small, large, low, high, count in (
        (values.shape[1], size[1], window.left, window.right, window.width),
        (values.shape[0], size[0], window.top, window.bottom, window.height),
    ):
        step = (high - low) / count * small / large
        steps.append(step)
        shifts.append(low * small / large + step / 2 - 0.5)
    matrix = np.array([[steps[0], 0, shifts[0]], [0, steps[1], shifts[1]]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    shape = (window.width, window.height)
    sampled = cv2.warpAffine(
        np.asarray(values, np.float32), matrix, shape, flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(sampled, np.float32)
