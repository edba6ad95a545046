"""Scores -> scores whose border follows the picture: maps say where, colours and edges say exactly where.

In the manner of GrabCut (Rother et al. 2004): in a window around what was decided, inside and outside are told apart by
the score, by the colours of either, and by what was marked; the border lies where the picture has edges. With Markov
maps an extension of M2N2 (arXiv 2411.10411).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from iseg.markov import Click
from iseg.markov.colours import colour_bins, log_ratio
from iseg.markov.cut import Cut, cut, edge_weights
from iseg.marks import Marks
from iseg.pieces import inside_boxes, keep_pieces
from iseg.window import Map, Window, shrunk, window_around

FIXED = 50.0  # cost of a sure pixel on the wrong side
NEAREST_SCORE = 0.02  # scores closer to 0 and 1 are as good as these
BORDER = 0.5  # of all scores here
OF_CUT = 0.25  # share of the cut in the score that comes out; the rest tells a threshold what to take or leave first
UNCHANGED = 1e-3  # share of pixels: fewer that change end the repeats

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class CutSettings:
    """Chosen on scenes of their own (docs/ui.md, docs/clicks.md).

    Attributes:
        side: longest side in pixels of the window that is cut.
        margin: of the window around what was decided, see `window_around`.
        score: weight of the log odds of the score, colour: of the log ratio of the colours.
        rare: share of a bin of colours below which it tells nothing.
        strength, least, colours: of the border, see `edge_weights`.
        click_radius: pixels of the window around a click that are sure.
        click_weight: what the colours around one click count beside those of all of the inside or outside.
        repeats: of colours and cut; rounds: of the first cut; further_rounds: of the others, which begin at the last.
    """

    side: int = 240
    margin: float = 0.3
    score: float = 2.0
    colour: float = 1.0
    rare: float = 3e-4
    strength: float = 4.0
    least: float = 0.1
    colours: float = 0.08
    click_radius: int = 3
    click_weight: float = 0.1
    repeats: int = 3
    rounds: int = 60
    further_rounds: int = 30


DEFAULTS = CutSettings()
FOR_BOX = replace(DEFAULTS, score=1.0)  # a box says much of what colours lie outside
FOR_MARKOV = replace(DEFAULTS, score=0.5, rare=1e-4, rounds=100, further_rounds=40)  # further clicks correct the maps


def cut_score(picture: NDArray[np.uint8], score: Map, marks: Marks, settings: CutSettings = DEFAULTS) -> Map:
    """A score (H, W) in [0, 1] with the border at 0.5 where a cut puts it.

    Args:
        picture: (H, W, 3) RGB.
        score: (h, w) in [0, 1] of the object on the whole picture, at least 0.5 where it is.
        marks: of the object, in pixels of the picture; without any (words) only the score says where it is. What lies
            outside of its boxes stays outside, positive marks inside a box or without boxes are inside, negative ones
            outside.

    A score that has nothing at 0.5, and no positive mark, has nothing after it either.
    """
    size = picture.shape[0], picture.shape[1]
    large = np.asarray(cv2.resize(score, size[::-1], interpolation=cv2.INTER_LINEAR), np.float32)
    clicks = [Click(x, y, inside) for group, inside in ((marks.through, True), (marks.negative, False))
              for x, y in group]  # fmt: skip
    below = np.float32(1 - OF_CUT) * np.minimum(large, np.float32(BORDER))  # as it is where nothing is cut
    decided = (large >= BORDER).astype(np.uint8)
    if marks.boxes:
        piece = inside_boxes(size, marks.boxes)
    else:
        through = [(each.x, each.y) for each in clicks if each.inside]
        piece = keep_pieces(decided, through, largest=True) if through else decided
    if not piece.any() and not any(each.inside for each in clicks):
        return below
    window = window_around(piece, [] if marks.boxes else clicks, settings.side, settings.margin)
    first = shrunk(piece & decided, window) >= 0.5
    outside = None
    if marks.boxes:
        outside = inside_boxes((window.height, window.width), [window.box(each) for each in marks.boxes]) == 0
    colours = (shrunk(picture, window) / 255).astype(np.float32)
    inner = cut_window(colours, shrunk(large, window), first, _placed(window, clicks), settings, outside)
    shape = (window.right - window.left, window.bottom - window.top)
    whole = cv2.resize(inner, shape, interpolation=cv2.INTER_LINEAR)
    kept = np.where(whole >= BORDER, np.maximum(large[window.part], BORDER), np.minimum(large[window.part], BORDER))
    below[window.part] = OF_CUT * whole + (1 - OF_CUT) * kept
    return below


def cut_window(
    colours: Map,
    score: Map,
    first: Mask,
    clicks: Sequence[tuple[int, int, bool]],
    settings: CutSettings = DEFAULTS,
    outside: Mask | None = None,
) -> Map:
    """Cut a window: how much each pixel is inside (h, w) in [0, 1], at least 0.5 inside.

    Args:
        colours: (h, w, 3) in [0, 1].
        score: (h, w) in [0, 1], the border at 0.5.
        first: (h, w), the mask that the first colours are taken from.
        clicks: (row, column, inside) in the window; pieces without a positive one go, if there is any.
        outside: (h, w), what is not inside whatever is clicked.
    """
    near = np.clip(score, NEAREST_SCORE, 1 - NEAREST_SCORE)
    from_score = settings.score * np.log(near / (1 - near))
    free = np.ones(first.shape, bool) if outside is None else ~outside
    fixed, around = _marked(free, clicks, settings.click_radius)
    weights = edge_weights(colours, settings.strength, settings.least, settings.colours)
    bins, mask = colour_bins(colours), first & free
    state: Cut | None = None
    for _ in range(settings.repeats):
        inner, outer = (
            each / max(each.sum(), 1) + settings.click_weight * of_clicks
            for each, of_clicks in zip((mask.astype(np.float64), 1.0 - mask), around, strict=True)
        )
        cost = -(from_score + settings.colour * log_ratio(bins, inner, outer, settings.rare))
        cost = np.where(fixed != 0, fixed, cost).astype(np.float32)
        state = cut(cost, *weights, settings.rounds if state is None else settings.further_rounds, state)
        before, mask = mask, state.inside >= 0.5
        if (mask != before).mean() < UNCHANGED:
            break
    assert state is not None
    through = [(column, row) for row, column, inside in clicks if inside]
    kept = keep_pieces(mask.astype(np.uint8), through, largest=False)
    return np.where(kept > 0, state.inside, np.minimum(state.inside, np.float32(0.49)))


def _marked(free: Mask, clicks: Sequence[tuple[int, int, bool]], radius: int) -> tuple[Map, list[NDArray[np.float64]]]:
    """The costs (h, w) of sure pixels, 0 elsewhere, and what clicks inside and outside say of colours, (h, w) each.

    Where disks overlap it is outside, but for the clicked pixels.
    """
    fixed, around = np.where(free, 0, FIXED).astype(np.float32), [np.zeros(free.shape) for _ in range(2)]
    for sign in (True, False):
        for row, column, inside in clicks:
            if inside is sign and (free[row, column] or not inside):
                part, disk = _disk(free, row, column, radius)
                around[0 if inside else 1][part] += disk / max(disk.sum(), 1)
                fixed[part][disk] = -FIXED if inside else FIXED
    for row, column, inside in clicks:
        if free[row, column]:
            fixed[row, column] = -FIXED if inside else FIXED
    return fixed, around


def _disk(free: Mask, row: int, column: int, radius: int) -> tuple[tuple[slice, slice], Mask]:
    """A part of a window, and in it the free pixels at most `radius` from a pixel."""
    part = slice(max(0, row - radius), row + radius + 1), slice(max(0, column - radius), column + radius + 1)
    y, x = (np.arange(one.start, min(one.stop, most)) for one, most in zip(part, free.shape, strict=True))
    return part, free[part] & ((y[:, None] - row) ** 2 + (x[None] - column) ** 2 <= radius**2)


def _placed(window: Window, clicks: Sequence[Click]) -> list[tuple[int, int, bool]]:
    """Clicks as (row, column, inside) of the window; those outside of it are left out."""
    pixels = [(window.pixel(each), each.inside) for each in clicks]
    return [(*pixel, inside) for pixel, inside in pixels if pixel is not None]
