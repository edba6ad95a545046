"""Curves of a training as a picture: the loss and the validation's mIoU over the updates."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from iseg.files.sheet import INK, PAPER

WIDTH, HEIGHT = 960, 360
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 40, 44
LINES, TICKS = 4, 4
GRID, LOSS, SMOOTH, SCORE = (225, 225, 225), (190, 205, 235), (40, 90, 200), (20, 140, 60)
WINDOW = 50  # updates over which the loss is averaged


def curves(losses: Sequence[float], steps: Sequence[int], scores: Sequence[float]) -> Image.Image:
    """Two panels side by side: the loss of every update with its running mean; mIoU in per cent at `steps`."""
    picture = Image.new("RGB", (WIDTH, HEIGHT), PAPER)
    draw, half = ImageDraw.Draw(picture), WIDTH // 2
    last = max([1, len(losses), *steps])
    top = float(np.quantile(losses, 0.99)) * 1.05 if len(losses) else 1.0
    at = _panel(draw, 0, half, last, top or 1.0, "loss", "{:.2f}")
    numbers = np.arange(1, len(losses) + 1)
    _line(draw, [at(step, min(value, top)) for step, value in zip(numbers, losses, strict=True)], LOSS, 1)
    smooth = running_mean(losses, WINDOW)
    _line(draw, [at(step, min(value, top)) for step, value in zip(numbers, smooth, strict=True)], SMOOTH, 2)
    at = _panel(draw, half, WIDTH, last, 100.0, "validation mIoU, %", "{:.0f}")
    points = [at(step, 100 * value) for step, value in zip(steps, scores, strict=True)]
    _line(draw, points, SCORE, 2)
    for x, y in points:
        draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=SCORE)
    return picture


def running_mean(values: Sequence[float], window: int) -> list[float]:
    """The mean of each value and those before it, of at most `window` of them."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(0, ends - window)
    return [float(value) for value in (sums[ends] - sums[starts]) / (ends - starts)]


def _panel(draw: ImageDraw.ImageDraw, left: int, right: int, last: int, top: float, title: str, form: str):
    """Axes with their numbers; returns (step, value) -> (x, y) in pixels."""
    x0, x1, y0, y1 = left + LEFT, right - RIGHT, TOP, HEIGHT - BOTTOM

    def at(step: float, value: float) -> tuple[float, float]:
        return x0 + (x1 - x0) * step / last, y1 - (y1 - y0) * value / top

    draw.text((x0, 12), title, fill=INK)
    for line in range(LINES + 1):
        value = top * line / LINES
        y = at(0, value)[1]
        draw.line((x0, y, x1, y), fill=GRID)
        draw.text((x0 - 8, y), form.format(value), fill=INK, anchor="rm")
    for tick in range(TICKS + 1):
        draw.text((at(last * tick / TICKS, 0)[0], y1 + 8), f"{last * tick / TICKS:,.0f}", fill=INK, anchor="ma")
    draw.text(((x0 + x1) / 2, HEIGHT - 4), "updates", fill=INK, anchor="md")
    return at


def _line(
    draw: ImageDraw.ImageDraw, points: list[tuple[float, float]], colour: tuple[int, int, int], width: int
) -> None:
    if len(points) > 1:
        draw.line(points, fill=colour, width=width)
