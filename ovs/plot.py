"""A small line plot: mIoU over iterations, one line per setting."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from iseg.export import write_image

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 940, 520, 70, 60, 50, 300  # pixels
COLOURS = ("#1b6ca8", "#d1495b", "#2e8b57", "#e09f3e", "#6a4c93", "#5c5c5c", "#00a6a6", "#a44a3f", "#8a9a1b", "#c774b2")


def draw_lines(lines: Mapping[str, Sequence[tuple[float, float]]], title: str, path: Path) -> None:
    """Write a PNG of {label: [(x, y in percent), ...]}; points of a line are joined in the order of x."""
    points = [point for line in lines.values() for point in line]
    across = sorted({x for x, _ in points})
    low = 10 * int(min(y for _, y in points) // 10)
    high = max(low + 10, 10 * -int(-max(y for _, y in points) // 10))
    plot_width, plot_height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def place(x: float, y: float) -> tuple[float, float]:
        share = (x - across[0]) / (across[-1] - across[0]) if len(across) > 1 else 0.5
        return LEFT + share * plot_width, TOP + (high - y) / (high - low) * plot_height

    picture = Image.new("RGB", (WIDTH, HEIGHT), "white")
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(15)
    draw.text((LEFT, 16), title, "black", font)
    for y in range(low, high + 1, 10):
        draw.line([place(across[0], y), place(across[-1], y)], "#dddddd")
        draw.text((LEFT - 12, place(across[0], y)[1]), str(y), "black", font, anchor="rm")
    for x in across:
        draw.text((place(x, low)[0], HEIGHT - BOTTOM + 10), f"{x:g}", "black", font, anchor="mt")
    draw.text((LEFT + plot_width / 2, HEIGHT - 22), "iterations", "black", font, anchor="mm")
    draw.text((LEFT - 55, TOP - 22), "mIoU %", "black", font)
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
