"""Procedural backgrounds: grass, sky, water, sand, snow, wall, road, night, alone or meeting at a horizon."""

import cv2
import numpy as np

CLUTTER = 255  # what belongs to no ground

# Hue (OpenCV's 0..179), saturation and value, each as (low, high).
COLOURS = {
    "grass": ((32, 55), (90, 200), (80, 200)),
    "sky": ((95, 115), (40, 190), (150, 255)),
    "water": ((85, 115), (80, 220), (70, 200)),
    "sand": ((12, 25), (50, 140), (170, 245)),
    "snow": ((85, 120), (0, 30), (205, 255)),
    "wall": ((0, 179), (10, 120), (90, 235)),
    "road": ((0, 179), (0, 25), (60, 150)),
    "night": ((105, 135), (80, 220), (10, 70)),
}
UPPER = ("sky", "sky", "night", "wall")
LOWER = ("grass", "water", "sand", "snow", "road")


def noise(rng: np.random.Generator, height: int, width: int, cells: float, stretch: float = 1.0) -> np.ndarray:
    """Smooth noise (height, width) float32 of unit scale with about `cells` bumps along the shorter side."""
    step = min(height, width) / cells
    rows, columns = max(2, round(height / step)), max(2, round(width / step / stretch))
    coarse = rng.standard_normal((rows, columns), dtype=np.float32)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def texture(kind: str, rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """One ground (height, width, 3) float32 RGB, about 0..255."""
    hsv = [rng.uniform(*limits) for limits in COLOURS[kind]]
    base = cv2.cvtColor(np.array([[hsv]], np.uint8), cv2.COLOR_HSV2RGB)[0, 0].astype(np.float32)
    ramp = np.linspace(-1, 1, height, dtype=np.float32)[:, None] * rng.uniform(-30, 30)
    light = ramp + noise(rng, height, width, rng.uniform(2, 5)) * rng.uniform(0, 14)
    if kind in ("grass", "sand", "road", "snow"):
        light = light + noise(rng, height, width, rng.uniform(20, 60)) * rng.uniform(1, 14 if kind == "grass" else 8)
    elif kind == "water":
        light = light + noise(rng, height, width, rng.uniform(12, 30), stretch=4) * rng.uniform(3, 16)
    elif kind == "sky":
        clouds = np.clip(noise(rng, height, width, rng.uniform(2, 6), stretch=2) - rng.uniform(0, 1.5), 0, 1)
        base = base + clouds[..., None] * (255 - base) * rng.uniform(0.3, 1)
    elif kind == "night":
        light = light + 160 * (rng.random((height, width)) < rng.uniform(0, 0.004))
    elif rng.random() < 0.6:
        light = light + bricks(rng, height, width)
    return base + light[..., None]


def bricks(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Joints of a wall, or planks, as darker or lighter lines (height, width) float32."""
    row = max(4, int(min(height, width) * rng.uniform(0.06, 0.25)))
    column = int(row * rng.uniform(1, 3))
    y, x = np.arange(height)[:, None], np.arange(width)[None]
    shifted = x + (y // row % 2) * (column // 2)
    joint = (y % row == 0) | (shifted % column == 0) if rng.random() < 0.7 else (x % row == 0) & (y >= 0)
    return joint.astype(np.float32) * rng.uniform(-40, 30)


def background(rng: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, list[str], np.ndarray]:
    """A background (height, width, 3) float32 RGB, the names of its grounds, and which of them is where.

    The last is (height, width) uint8: indices into the names, 255 where clutter hides the ground.
    """
    parts = np.zeros((height, width), np.uint8)
    if rng.random() < 0.4:
        kind = str(rng.choice(list(COLOURS)))
        picture, kinds = texture(kind, rng, height, width), [kind]
    else:
        kinds = [str(rng.choice(UPPER)), str(rng.choice(LOWER))]
        upper, lower = (texture(kind, rng, height, width) for kind in kinds)
        bend = noise(rng, height, width, 2)[0] * rng.uniform(0, 0.06) * height
        horizon = rng.uniform(0.25, 0.8) * height + bend
        soft = np.clip((np.arange(height)[:, None] - horizon[None]) / rng.uniform(0.5, 3) + 0.5, 0, 1)[..., None]
        picture = upper * (1 - soft) + lower * soft
        parts[soft[..., 0] > 0.5] = 1
    for _ in range(int(rng.integers(1, 4)) if rng.random() < 0.3 else 0):
        picture, shape = clutter(picture, rng)
        parts[shape] = CLUTTER
    return picture.astype(np.float32), kinds, parts


def clutter(picture: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A plain blob, block or disc that belongs to no class: a hill, a bush, a house, the sun.

    Returns the picture with it and its place (height, width) bool.
    """
    height, width = picture.shape[:2]
    centre = (int(rng.uniform(0, width)), int(rng.uniform(0, height)))
    radius = rng.uniform(0.05, 0.25) * min(height, width)
    if rng.random() < 0.5:
        count = int(rng.integers(3, 9))
        angles = np.sort(rng.uniform(0, 2 * np.pi, count))
        reach = radius * rng.uniform(0.6, 1.4, count)
        points = np.stack([centre[0] + reach * np.cos(angles), centre[1] + reach * np.sin(angles)], axis=1)
    else:
        axes = (int(radius * rng.uniform(0.5, 2)) + 1, int(radius) + 1)
        points = np.array(cv2.ellipse2Poly(centre, axes, 0, 0, 360, 12))
    shape = np.zeros((height, width), np.uint8)
    cv2.fillPoly(shape, [np.round(points).astype(np.int32)], 255, lineType=cv2.LINE_AA)
    weight = shape[..., None].astype(np.float32) / 255
    return picture * (1 - weight) + rng.uniform(20, 235, 3).astype(np.float32) * weight, shape > 127
