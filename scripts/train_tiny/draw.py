"""Dining tables drawn by program: the one VOC word without an emoji."""

import cv2
import numpy as np

SIZE = 112
WOODS = ((150, 96, 52), (196, 142, 88), (110, 70, 44), (224, 196, 150), (92, 92, 104), (236, 232, 224))


def draw_tables(variant: int) -> list[np.ndarray]:
    """Three sprites (h, w, 5) uint8, RGBA + truth: a trestle, a round and a perspective table."""
    shapes = (trestle_table, round_table, perspective_table)
    return [crop(shape(WOODS[(variant + 2 * i) % len(WOODS)])) for i, shape in enumerate(shapes)]


def shade(colour: tuple[int, ...], light: float) -> tuple[int, ...]:
    """An opaque RGBA colour, darker or lighter."""
    return (*(int(min(255, c * light)) for c in colour), 255)


def polygon(canvas: np.ndarray, points: list[tuple[float, float]], colour: tuple[int, ...]) -> None:
    """Fill a polygon of (x, y) in units of the canvas."""
    cv2.fillPoly(canvas, [np.round(np.array(points) * SIZE).astype(np.int32)], colour)


def trestle_table(wood: tuple[int, ...]) -> np.ndarray:
    """Seen from the side: a board, an apron and two pairs of legs."""
    canvas = np.zeros((SIZE, SIZE, 4), np.uint8)
    polygon(canvas, [(0.12, 0.42), (0.88, 0.42), (0.88, 0.52), (0.12, 0.52)], shade(wood, 0.75))
    for x, lean in ((0.16, -0.03), (0.76, 0.03)):
        polygon(canvas, [(x, 0.5), (x + 0.09, 0.5), (x + 0.07 + lean, 0.9), (x + 0.02 + lean, 0.9)], shade(wood, 0.9))
    polygon(canvas, [(0.04, 0.32), (0.96, 0.32), (0.99, 0.43), (0.01, 0.43)], shade(wood, 1.15))
    polygon(canvas, [(0.01, 0.43), (0.99, 0.43), (0.99, 0.46), (0.01, 0.46)], shade(wood, 0.6))
    return canvas


def round_table(wood: tuple[int, ...]) -> np.ndarray:
    """A round board on one foot, with a cloth."""
    canvas = np.zeros((SIZE, SIZE, 4), np.uint8)
    polygon(canvas, [(0.45, 0.4), (0.55, 0.4), (0.56, 0.85), (0.44, 0.85)], shade(wood, 0.8))
    cv2.ellipse(canvas, (SIZE // 2, int(0.87 * SIZE)), (26, 8), 0, 0, 360, shade(wood, 0.65), -1)
    cv2.ellipse(canvas, (SIZE // 2, int(0.4 * SIZE)), (54, 21), 0, 0, 360, shade(wood, 0.7), -1)
    cv2.ellipse(canvas, (SIZE // 2, int(0.36 * SIZE)), (54, 20), 0, 0, 360, shade(wood, 1.1), -1)
    cv2.ellipse(canvas, (SIZE // 2, int(0.36 * SIZE)), (34, 12), 0, 0, 360, shade(wood, 1.4), -1)
    return canvas


def perspective_table(wood: tuple[int, ...]) -> np.ndarray:
    """Seen from above at an angle: a trapezium and four legs."""
    canvas = np.zeros((SIZE, SIZE, 4), np.uint8)
    for x, foot in ((0.26, 0.68), (0.68, 0.68), (0.06, 0.94), (0.86, 0.94)):
        polygon(canvas, [(x, 0.45), (x + 0.07, 0.45), (x + 0.07, foot), (x, foot)], shade(wood, 0.7))
    polygon(canvas, [(0.02, 0.52), (0.98, 0.52), (0.98, 0.6), (0.02, 0.6)], shade(wood, 0.55))
    polygon(canvas, [(0.22, 0.24), (0.78, 0.24), (0.98, 0.53), (0.02, 0.53)], shade(wood, 1.2))
    for x in (0.36, 0.5, 0.64):
        start, end = (int(x * SIZE), int(0.25 * SIZE)), (int((0.5 + (x - 0.5) * 1.7) * SIZE), int(0.52 * SIZE))
        cv2.line(canvas, start, end, shade(wood, 0.95), 1)
    return canvas


def crop(canvas: np.ndarray) -> np.ndarray:
    """Cut to what is drawn; the truth is the alpha."""
    rows, columns = np.nonzero(canvas[..., 3])
    cut = canvas[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    return np.dstack([cut, cut[..., 3]])
