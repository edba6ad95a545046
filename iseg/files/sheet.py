"""Titled pictures on one sheet, with a legend of the classes."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from iseg.files.export import voc_palette

WIDE = 2.5  # from this aspect on, pictures stand below each other
MARGIN, GAP, TITLE, TEXT, SWATCH = 14, 12, 26, 16, 16
PAPER, INK, FRAME = (255, 255, 255), (34, 34, 34), (205, 205, 205)


@lru_cache
def font_of_titles() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(TEXT)


def sheet(tiles: Sequence[tuple[str, NDArray[np.uint8]]], names: Sequence[str]) -> Image.Image:
    """Titled pictures of one size in a row (or a column when they are wide) over a legend of the classes."""
    font, (height, width) = font_of_titles(), tiles[0][1].shape[:2]
    cell_width = max(width, *(round(font.getlength(title)) for title, _ in tiles))
    columns = 1 if width >= WIDE * height else len(tiles)
    rows = -(-len(tiles) // columns)
    page_width = max(2 * MARGIN + columns * (cell_width + GAP) - GAP, 240)
    legend = legend_rows(names, page_width - 2 * MARGIN)
    top = MARGIN + rows * (TITLE + height + GAP)
    page = Image.new("RGB", (page_width, top + len(legend) * TITLE + MARGIN - GAP // 2), PAPER)
    draw = ImageDraw.Draw(page)
    for n, (title, picture) in enumerate(tiles):
        x = MARGIN + n % columns * (cell_width + GAP)
        y = MARGIN + n // columns * (TITLE + height + GAP)
        draw.text((x, y), title, INK, font)
        draw.rectangle((x - 1, y + TITLE - 1, x + width, y + TITLE + height), outline=FRAME)
        page.paste(Image.fromarray(picture), (x, y + TITLE))
    for row, entries in enumerate(legend):
        for x, k, name in entries:
            y = top + row * TITLE
            colour = tuple(int(value) for value in voc_palette()[k + 1])
            draw.rectangle((MARGIN + x, y + 2, MARGIN + x + SWATCH, y + 2 + SWATCH), fill=colour, outline=INK)
            draw.text((MARGIN + x + SWATCH + 7, y), name, INK, font)
    return page


def legend_rows(names: Sequence[str], width: int) -> list[list[tuple[int, int, str]]]:
    """Entries (x, k, name) of the legend, wrapped to a width in pixels; a name too long for a line is cut."""
    font, rows, x = font_of_titles(), [[]], 0  # type: ignore[var-annotated]
    for k, name in enumerate(names):
        room = width - SWATCH - 7
        while font.getlength(name) > room:
            name = name[:-2].rstrip("…") + "…"
        needed = SWATCH + 7 + round(font.getlength(name))
        if x and x + needed > width:
            rows.append([])
            x = 0
        rows[-1].append((x, k, name))
        x += needed + 22
    return rows
