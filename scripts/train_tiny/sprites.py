"""Pictograms: the table of words, loading, and changes of style.

A sprite is an RGBA uint8 array (h, w, 4) cropped to what is drawn; its alpha is the truth mask of a scene.
"""

import functools
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import yaml
from PIL import Image

from iseg.errors import InputError
from scripts.train_tiny.draw import draw_tables

HERE = Path(__file__).parent
PICTOGRAM_FOLDER = HERE / "pictograms"
OPENMOJI_FOLDER = HERE / "openmoji"  # git-ignored: CC BY-SA, for testing only
STYLES = ("fluent", "fluent-flat", "noto", "noto-v1")


@dataclass(frozen=True)
class Word:
    """A class word, its VOC class id (1..20), words that mean the same, and its emoji code points."""

    name: str
    id: int
    also: tuple[str, ...]
    codes: tuple[str, ...]


@functools.cache
def read_words() -> tuple[Word, ...]:
    """The 20 words in VOC's order."""
    table = yaml.safe_load((HERE / "words.yaml").read_text(encoding="utf-8"))
    return tuple(
        Word(name, row["id"], tuple(row.get("also", ())), tuple(str(code) for code in row["codes"]))
        for name, row in table.items()
    )


@functools.cache
def load_sprites(style: str) -> dict[str, list[np.ndarray]]:
    """Sprites per word of `fluent`, `fluent-flat`, `noto`, `noto-v1`, `openmoji`, or `seen` (the four training styles).

    A word that the style does not have is absent from the dict. Raises `InputError` for an unknown or missing style.
    """
    if style == "seen":
        merged: dict[str, list[np.ndarray]] = {}
        for each in STYLES:
            for name, sprites in load_sprites(each).items():
                merged.setdefault(name, []).extend(sprites)
        return merged
    if style not in (*STYLES, "openmoji"):
        raise InputError(f"unknown style {style!r}: expected seen, {', '.join(STYLES)} or openmoji")
    folder = OPENMOJI_FOLDER if style == "openmoji" else PICTOGRAM_FOLDER / style
    if not folder.is_dir():
        option = " --openmoji" if style == "openmoji" else ""
        raise InputError(f"no pictograms in {folder}: run `python -m scripts.train_tiny.fetch{option}`")
    loaded = {}
    for word in read_words():
        paths = [folder / f"{code}.webp" for code in word.codes]
        sprites = [close_gaps(read_rgba(path)) for path in paths if path.is_file()]
        if not word.codes and style != "openmoji":
            sprites = draw_tables(STYLES.index(style))
        if sprites:
            loaded[word.name] = sprites
    return loaded


def read_rgba(path: Path) -> np.ndarray:
    """A pictogram (h, w, 4) uint8."""
    with Image.open(path) as picture:
        return np.array(picture.convert("RGBA"))


def close_gaps(sprite: np.ndarray) -> np.ndarray:
    """Append a fifth channel: the truth, which is the alpha with narrow gaps (spokes, chair backs) closed."""
    alpha = sprite[..., 3]
    margin = 8
    padded = cv2.copyMakeBorder(alpha, margin, margin, margin, margin, cv2.BORDER_CONSTANT, value=0)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 9))
    closed = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, kernel)[margin:-margin, margin:-margin]
    return np.dstack([sprite, closed])


def restyle(sprite: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random change of style for training: hue, light, grey, flat colours, outlines, blur.

    Flat colours with dark outlines are frequent since many pictogram families are drawn so; every second sprite
    changes in colour only, and little.
    """
    if rng.random() < 0.5:
        return np.dstack([shift_colours(np.ascontiguousarray(sprite[..., :3]), rng, hue=10), sprite[..., 3:]])
    rgb, rest = sprite[..., :3].copy(), sprite[..., 3:]
    if rng.random() < 0.5:
        rgb = shift_colours(rgb, rng, hue=25 if rng.random() < 0.7 else 90)
    if rng.random() < 0.08:
        rgb = np.repeat(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    outlined = rng.random() < 0.4
    edges = inner_edges(rgb, rng) if outlined and rng.random() < 0.8 else None
    if rng.random() < (0.7 if outlined else 0.25):
        rgb = flatten_colours(rgb, rng)
    if rng.random() < 0.15:
        white = rng.uniform(0.2, 0.6)
        rgb = (rgb * (1 - white) + 255 * white).astype(np.uint8)
    if outlined:
        return outline(np.dstack([rgb, rest]), edges, rng)
    if rng.random() < 0.15:
        rgb = cv2.GaussianBlur(rgb, (0, 0), rng.uniform(0.5, 2))
    return np.dstack([rgb, rest])


def shift_colours(rgb: np.ndarray, rng: np.random.Generator, hue: int) -> np.ndarray:
    """Rotate the hue by up to `hue` of OpenCV's 180 steps; scale saturation and light."""
    hsv = cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV).astype(np.float32)
    hsv[..., 0] = (hsv[..., 0] + rng.uniform(-hue, hue)) % 180
    hsv[..., 1] = np.clip(hsv[..., 1] * rng.uniform(0.4, 1.4), 0, 255)
    hsv[..., 2] = np.clip(hsv[..., 2] * rng.uniform(0.65, 1.25) + rng.uniform(-15, 25), 0, 255)
    return cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB)


def flatten_colours(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Few flat colours: a median filter, then each channel in steps."""
    step = int(rng.choice([32, 48, 64, 96]))
    smooth = cv2.medianBlur(np.ascontiguousarray(rgb), int(rng.choice([3, 5, 7])))
    return np.clip(smooth // step * step + step // 2, 0, 255).astype(np.uint8)


def inner_edges(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Boolean (h, w): where colours change sharply, widened to a stroke."""
    smooth = cv2.GaussianBlur(rgb, (0, 0), 1.2)
    edges = cv2.Canny(smooth, 40, int(rng.integers(80, 160)))
    return cv2.dilate(edges, np.ones((2, 2), np.uint8)) > 0


def outline(sprite: np.ndarray, edges: np.ndarray | None, rng: np.random.Generator) -> np.ndarray:
    """Draw a dark stroke round the silhouette (which grows by it) and along `edges`; sometimes hollow out the fill."""
    width = int(rng.integers(1, 5))
    margin = width + 1
    pad = ((margin, margin), (margin, margin), (0, 0))
    grown = np.pad(sprite, pad)
    solid = grown[..., 3]
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * width + 1, 2 * width + 1))
    colour = np.full(3, rng.integers(0, 60)) if rng.random() < 0.85 else rng.integers(0, 256, 3)
    fill = grown[..., :3].astype(np.float32)
    if edges is not None:
        fill[np.pad(edges, margin) & (solid > 128)] = colour
    weight = solid[..., None] / 255.0
    grown[..., :3] = (fill * weight + colour * (1 - weight)).astype(np.uint8)
    grown[..., 3] = cv2.dilate(solid, kernel)
    grown[..., 4] = cv2.dilate(grown[..., 4], kernel)
    return grown
