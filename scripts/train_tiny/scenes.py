"""Scenes of pictograms with their truth.

A scene is decided by the generator alone: `scene_rng(seed, index)` gives the same scene on every machine with the
same library versions.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from scripts.train_tiny.backgrounds import background
from scripts.train_tiny.sprites import load_sprites, read_words, restyle, shift_colours

SQUARE = (256, 256)  # (height, width) in pixels, where nothing else is asked for
MAX_OBJECTS = 4
SMALLEST, LARGEST = 0.15, 0.8  # side of an object over the shorter side of the image
MIN_VISIBLE = 0.45  # share of an object that later ones and the border must leave
TRIES = 8


@dataclass(frozen=True)
class Scene:
    """A picture with its truth.

    image: (H, W, 3) uint8 RGB. mask: (H, W) uint8, VOC class ids, 0 = background. words: the class words shown, in
    VOC's order. grounds: names of the background's parts. parts: (H, W) uint8, which ground lies behind every pixel
    (an index into `grounds`, 255 for clutter); None where it was not kept.
    """

    image: np.ndarray
    mask: np.ndarray
    words: tuple[str, ...]
    grounds: tuple[str, ...]
    parts: np.ndarray | None = None


def scene_rng(seed: int, index: int) -> np.random.Generator:
    """The generator of scene `index` of the set `seed`."""
    return np.random.default_rng([seed, index])


def render(
    rng: np.random.Generator,
    size: tuple[int, int] = SQUARE,
    style: str = "seen",
    augment: bool = False,
    max_objects: int = MAX_OBJECTS,
) -> Scene:
    """Compose a scene of 1 to `max_objects` objects.

    size: (height, width) in pixels. style: `seen`, one of the training styles, or `openmoji`. augment: the strong
    changes of style that training uses; without it objects only change a little in colour.
    """
    height, width = size
    canvas, grounds, parts = background(rng, height, width)
    owner = np.zeros(size, np.uint8)  # 0 = background, i + 1 = i-th object placed
    areas: list[int] = []
    names: list[str] = []
    sprites = load_sprites(style)
    for name in choose_words(rng, list(sprites), int(rng.integers(1, max_objects + 1))):
        sprite = sprites[name][int(rng.integers(len(sprites[name])))]
        if augment:
            sprite = restyle(sprite, rng)
        elif rng.random() < 0.5:
            sprite = np.dstack([shift_colours(np.ascontiguousarray(sprite[..., :3]), rng, hue=8), sprite[..., 3:]])
        placed = place(rng, sprite, owner, areas, crowd=len(names))
        if placed is None:
            continue
        colour, alpha, truth, full = placed
        canvas = canvas * (1 - alpha) + colour
        owner[truth] = len(names) + 1
        areas.append(full)
        names.append(name)
    ids = {word.name: word.id for word in read_words()}
    mask = np.array([0] + [ids[name] for name in names], np.uint8)[owner]
    shown = tuple(word.name for word in read_words() if word.name in names)
    return Scene(finish(canvas, rng), mask, shown, tuple(grounds), parts)


def choose_words(rng: np.random.Generator, names: list[str], count: int) -> list[str]:
    """`count` different words, now and then with one of them twice."""
    chosen = [str(name) for name in rng.choice(names, count, replace=False)]
    if count > 1 and rng.random() < 0.15:
        chosen[-1] = chosen[0]
    return chosen


def place(
    rng: np.random.Generator, sprite: np.ndarray, owner: np.ndarray, areas: list[int], crowd: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int] | None:
    """Find a place where the object and those before it stay visible enough; the first object always finds one.

    Returns colour times alpha (H, W, 3) float32, alpha (H, W, 1) float32, truth (H, W) bool, and the object's area in
    pixels; None when no try fits.
    """
    height, width = owner.shape
    for attempt in range(TRIES if crowd else 10 * TRIES):
        largest = LARGEST * 0.9 ** (crowd + attempt / 2)
        scale = rng.uniform(SMALLEST, max(SMALLEST, largest))
        matrix, full = transform(rng, sprite.shape, (height, width), scale)
        small, matrix = shrink(sprite, matrix)
        truth = cv2.warpAffine(np.ascontiguousarray(small[..., 4]), matrix, (width, height)) > 127
        area, whole = int(truth.sum()), float((small[..., 4] > 127).mean()) * full
        if area < max(12, MIN_VISIBLE * whole):
            continue
        left = np.bincount(owner[~truth], minlength=len(areas) + 1)[1:]
        if any(rest < MIN_VISIBLE * before for rest, before in zip(left, areas, strict=True)):
            continue
        premultiplied = small[..., :4].astype(np.float32)
        premultiplied[..., :3] *= premultiplied[..., 3:] / 255
        warped = cv2.warpAffine(premultiplied, matrix, (width, height))
        return warped[..., :3], warped[..., 3:] / 255, truth, area
    return None


def transform(
    rng: np.random.Generator, shape: tuple[int, ...], size: tuple[int, int], scale: float
) -> tuple[np.ndarray, float]:
    """An affine matrix (2, 3) in (x, y) from sprite to image (flip, turn, stretch, shift), and the box's area in it."""
    side = scale * min(size)
    stretch = np.exp(rng.uniform(-0.25, 0.25))
    factor = side / max(shape[:2])
    across, down = factor * stretch * (1 if rng.random() < 0.5 else -1), factor / stretch
    angle = np.deg2rad(rng.normal(0, 9))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = turn @ np.diag([across, down])
    margin = 0.25 * side
    centre = np.array([rng.uniform(margin, size[1] - margin), rng.uniform(margin, size[0] - margin)])
    middle = np.array([shape[1] / 2, shape[0] / 2])
    return np.column_stack([linear, centre - linear @ middle]), abs(across) * shape[1] * down * shape[0]


def shrink(sprite: np.ndarray, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Halve the sprite while the matrix would shrink it by more than half: bilinear warping alone would alias."""
    matrix = matrix.copy()
    while np.abs(np.linalg.det(matrix[:, :2])) < 0.3 and min(sprite.shape[:2]) >= 8:
        size = (sprite.shape[1] // 2, sprite.shape[0] // 2)
        matrix[:, 0] *= sprite.shape[1] / size[0]
        matrix[:, 1] *= sprite.shape[0] / size[1]
        colour = cv2.resize(np.ascontiguousarray(sprite[..., :4]), size, interpolation=cv2.INTER_AREA)
        truth = cv2.resize(np.ascontiguousarray(sprite[..., 4]), size, interpolation=cv2.INTER_AREA)
        sprite = np.dstack([colour, truth])
    return sprite, matrix


def finish(canvas: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Light, contrast, a little blur and grain on the whole picture."""
    picture: np.ndarray = (canvas - 128) * rng.uniform(0.85, 1.1) + 128 + rng.uniform(-15, 15)
    if rng.random() < 0.3:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.3, 0.8) * min(canvas.shape[:2]) / 128)
    grain = rng.uniform(0, 6)
    picture = picture + rng.standard_normal(picture.shape, dtype=np.float32) * grain
    return np.clip(picture, 0, 255).astype(np.uint8)
