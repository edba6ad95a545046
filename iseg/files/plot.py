"""A small line plot, one line per label."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from iseg.files.export import write_image

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 940, 520, 70, 60, 50, 300  # pixels
COLOURS = ("#1b6ca8", "#d1495b", "#2e8b57", "#e09f3e", "#6a4c93", "#5c5c5c", "#00a6a6", "#a44a3f", "#8a9a1b", "#c774b2")


@dataclass(frozen=True)
class Axis:
    """Names of the two axes; `low`: where the upward one starts, by default at the step below the lowest point."""

    across: str = "iterations"
    up: str = "mIoU %"
    low: float | None = None


def tick_step(extent: float) -> float:
    """1, 2 or 5 times a power of ten, so that about six steps cover the extent."""
    rough = max(extent, 1e-9) / 6
    power = 10 ** math.floor(math.log10(rough))
    return power * next(factor for factor in (1, 2, 5, 10) if factor * power >= rough)


def draw_lines(lines: Mapping[str, Sequence[tuple[float, float]]], title: str, path: Path, axis: Axis = Axis()) -> None:
    """Write a PNG of {label: [(x, y), ...]}; points of a line are joined in the order of x."""
    points = [point for line in lines.values() for point in line]
    across = sorted({x for x, _ in points})
    least, most = min(y for _, y in points), max(y for _, y in points)
    least = least if axis.low is None else axis.low
    step = tick_step(most - least)
    low, high = step * math.floor(least / step), step * max(math.ceil(most / step), math.floor(least / step) + 1)
    plot_width, plot_height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def place(x: float, y: float) -> tuple[float, float]:
        share = (x - across[0]) / (across[-1] - across[0]) if len(across) > 1 else 0.5
        return LEFT + share * plot_width, TOP + (high - y) / (high - low) * plot_height

    picture = Image.new("RGB", (WIDTH, HEIGHT), "white")
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(15)
    draw.text((LEFT, 16), title, "black", font)
    for i in range(round((high - low) / step) + 1):
        y = low + i * step
        draw.line([place(across[0], y), place(across[-1], y)], "#dddddd")
        draw.text((LEFT - 12, place(across[0], y)[1]), f"{y:g}", "black", font, anchor="rm")
    free = float("-inf")  # where the next label may begin: one that would touch its neighbour is left out
    for x in across:
        middle, half = place(x, low)[0], font.getlength(f"{x:g}") / 2
        if middle - half >= free:
            draw.text((middle, HEIGHT - BOTTOM + 10), f"{x:g}", "black", font, anchor="mt")
            free = middle + half + 8
    draw.text((LEFT + plot_width / 2, HEIGHT - 22), axis.across, "black", font, anchor="mm")
    draw.text((LEFT - 55, TOP - 22), axis.up, "black", font)
    for number, (label, line) in enumerate(lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        spots = [place(x, y) for x, y in sorted(line)]
        draw.line(spots, colour, 3)
        for x, y in spots:
            draw.ellipse([x - 4, y - 4, x + 4, y + 4], colour)
        height = TOP + 22 * number
        draw.line([(WIDTH - RIGHT + 20, height + 9), (WIDTH - RIGHT + 50, height + 9)], colour, 3)
        draw.text((WIDTH - RIGHT + 58, height), label, "black", font)
    write_image(path, picture)
