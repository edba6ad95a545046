"""Seeded numpy formulas of the inputs that the goldens of clicks were made from (float64, cast at the end).

Points are pixels (x, y), sign 1 = in the object.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

# class, centre y, centre x, half height, half width, in units of the picture's sides
SHAPES = [
    (1, 0.30, 0.22, 0.20, 0.13),
    (1, 0.70, 0.80, 0.18, 0.12),
    (2, 0.34, 0.46, 0.17, 0.12),
    (3, 0.78, 0.35, 0.05, 0.24),
]
COLOURS = np.array([[0.35, 0.55, 0.30], [0.75, 0.30, 0.25], [0.80, 0.45, 0.25], [0.25, 0.35, 0.75]])
SCENES: dict[str, dict[str, Any]] = {
    "a": {"seed": 900, "grid": (32, 32), "image": (96, 128)},
    "b": {"seed": 910, "grid": (64, 64), "image": (150, 200)},
    "c": {"seed": 920, "grid": (24, 24), "image": (60, 80), "near": 2.0},
}
CLICKS = {
    "a": {
        "one": [(28, 29, 1)],
        "two_same_class": [(28, 29, 1), (102, 67, 1)],
        "touching": [(58, 33, 1), (40, 30, 0)],
        "many": [(58, 33, 1), (30, 20, 0), (44, 75, 1), (0, 0, 0), (127, 95, 0), (62, 40, 1)],
        "crowded": [(28, 29, 1), (29, 29, 0), (28, 30, 0)],
        "repeated": [(28, 29, 1), (102, 67, 0), (102, 67, 0)],
        "negative_only": [(102, 67, 0)],
    },
    "b": {
        "one": [(160, 105, 1)],
        "bar": [(70, 117, 1), (70, 100, 0)],
        "mixed": [(44, 45, 1), (92, 51, 0), (160, 105, 1), (199, 0, 0), (70, 117, 0)],
    },
    "c": {
        "one": [(18, 18, 1)],
        "two": [(18, 18, 1), (64, 42, 1)],
        "not_the_other": [(18, 18, 1), (64, 42, 0)],
    },
}


def centres(rows: int, columns: int) -> tuple[NDArray, NDArray]:
    """y and x (rows, columns) of the cells' centres in units of the sides."""
    y, x = np.meshgrid((np.arange(rows) + 0.5) / rows, (np.arange(columns) + 0.5) / columns, indexing="ij")
    return y, x


def memberships(rows: int, columns: int, soft: float) -> NDArray[np.float64]:
    """(rows, columns, 4) soft shares of the classes; class 0 is what the ellipses leave."""
    y, x = centres(rows, columns)
    shares = np.zeros((rows, columns, 4))
    for kind, middle_y, middle_x, half_y, half_x in SHAPES:
        radius = np.sqrt(((y - middle_y) / half_y) ** 2 + ((x - middle_x) / half_x) ** 2)
        shares[..., kind] = np.maximum(shares[..., kind], 1 / (1 + np.exp(np.minimum((radius - 1) / soft, 60))))
    shares[..., 0] = np.clip(1 - shares[..., 1:].sum(-1), 0, 1)
    return shares / shares.sum(-1, keepdims=True)


def image(seed: int, rows: int, columns: int) -> NDArray[np.uint8]:
    """(rows, columns, 3) picture of the ellipses with a slope of brightness and noise."""
    noise = np.random.default_rng(seed).standard_normal((rows, columns, 3))
    y, x = np.meshgrid(np.arange(rows) / rows, np.arange(columns) / columns, indexing="ij")
    slope = 0.08 * (y - 0.5)[..., None] - 0.06 * (x - 0.5)[..., None]
    colours = memberships(rows, columns, 0.02) @ COLOURS + slope
    return np.floor(255 * np.clip(colours + 0.02 * noise, 0, 1) + 0.5).astype(np.uint8)


def truth(rows: int, columns: int, which: tuple[int, ...] = (0,)) -> NDArray[np.int32]:
    """(rows, columns) 1 inside the named ellipses."""
    inside, (y, x) = np.zeros((rows, columns), np.int32), centres(rows, columns)
    for index in which:
        _, middle_y, middle_x, half_y, half_x = SHAPES[index]
        inside[((y - middle_y) / half_y) ** 2 + ((x - middle_x) / half_x) ** 2 <= 1] = 1
    return inside


def attention(seed: int, rows: int, columns: int, near: float = 12.0) -> NDArray[np.float32]:
    """(rows * columns, rows * columns) queries x keys, rows sum to 1; some keys attract everybody."""
    rng = np.random.default_rng(seed + 1)
    kinds = memberships(rows, columns, 0.15).reshape(-1, 4)
    kinds = kinds / np.sqrt((kinds**2).sum(1, keepdims=True))
    features = np.concatenate([kinds, 0.15 * rng.standard_normal((rows * columns, 6))], 1)
    places = np.stack([each.ravel() for each in centres(rows, columns)], 1)
    squares = (places**2).sum(1)
    apart = squares[:, None] + squares[None] - 2 * places @ places.T
    logits = 3.5 * features @ features.T - near * apart + 0.8 * rng.standard_normal(rows * columns)[None]
    shares = np.exp(logits - logits.max(1, keepdims=True))
    return (shares / shares.sum(1, keepdims=True)).astype(np.float32)


def small_matrix(count: int = 6, seed: int = 920) -> NDArray[np.float32]:
    """(count, count) positive, rows sum to 1."""
    values = np.exp(2 * np.random.default_rng(seed).standard_normal((count, count)))
    return (values / values.sum(1, keepdims=True)).astype(np.float32)


def two_islands() -> NDArray[np.float32]:
    """(7, 7): cells 0-3 and 4-6 never reach each other."""
    values = np.zeros((7, 7))
    values[:4, :4], values[4:, 4:] = small_matrix(4, 921), small_matrix(3, 922)
    return (values / values.sum(1, keepdims=True)).astype(np.float32)


def small_map(rows: int = 9, columns: int = 11, seed: int = 930, levels: int | None = None) -> NDArray[np.float32]:
    """(rows, columns) in [0, 1); with levels rounded, so with ties."""
    values = np.random.default_rng(seed).random((rows, columns))
    return (values if levels is None else np.floor(values * levels) / levels).astype(np.float32)


def click_masks(rows: int = 40, columns: int = 56) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The truth (rows, columns) with an ignored band of -1, and 7 predictions (7, rows, columns)."""
    target = truth(rows, columns, (0, 2))
    strongest = memberships(rows, columns, 0.15)[..., 1:3].max(-1)
    target[(strongest > 0.40) & (strongest < 0.60)] = -1
    full = (target == 1).astype(np.int32)
    half, corner = full.copy(), full.copy()
    half[:, : columns // 4] = 0
    corner[:6, -6:] = 1
    checker = ((np.add.outer(np.arange(rows), np.arange(columns)) // 5) % 2).astype(np.int32)
    shifted, fat = np.roll(full, 4, 1), (strongest > 0.15).astype(np.int32)
    return target, np.stack([np.zeros_like(full), half, shifted, fat, corner, checker, np.ones_like(full)])
