"""Arguments of Python's interface."""

import io
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from PIL import Image

from scripts.fuzz.case import Case
from scripts.fuzz.images import noise

NAN, INF, BIG = float("nan"), float("inf"), 10**400
IMAGES: tuple[Any, ...] = (None, 7, "none.png", b"x", [[1]], np.zeros((0, 4, 3), np.uint8), np.zeros((4, 5, 2),
    np.uint8),
                           np.zeros(9, np.uint8), np.full((4, 5, 3), 7.0), np.full((4, 5, 3), NAN), np.zeros((4, 5,
                               3), complex),
                           np.array([["a"]]), np.zeros((2, 4, 5, 3), np.uint8))  # fmt: skip
PROMPTS: tuple[dict[str, Any], ...] = (
    {}, {"classes": []}, {"classes": "cat"}, {"classes": [None]}, {"classes": [7]}, {"classes": 7}, {"classes": [""]},
    {"classes": ["unicorn"]}, {"classes": ["x" * 9000]}, {"points": [(NAN, 1)]}, {"points": [(INF, 1)]},
    {"points": [(1,)]},
    {"points": []}, {"points": [(1, 2, 3)]}, {"points": 7}, {"points": [("a", "b")]}, {"points": [(BIG, 1)]},
    {"points": [(99, 1)]},
    {"points": [(None, 1)]}, {"points": "1,2"}, {"line": [(1, 1), (1e9, 1)]}, {"line": []}, {"line": [(NAN, NAN)]},
    {"box": (1, 2, 3)}, {"box": (1, 1, 1, 9)}, {"box": (NAN, 1, 9, 9)}, {"box": (0, 0, 99, 99)}, {"box": 7},
    {"box": "1,1,9,9"},
    {"boxes": []}, {"boxes": [(1, 1, 9)]}, {"boxes": [(1, 1, 9, 9)], "names": ["a", "b"]}, {"boxes": 7},
    {"mask": np.zeros((24, 40), bool)}, {"mask": np.ones((3, 4), bool)}, {"mask": 7}, {"mask": np.full((24, 40),
    NAN)},
    {"mask": "x"}, {"maps": np.full((1, 4, 4), NAN)}, {"maps": np.full((1, 4, 4), -1.0)}, {"maps": np.zeros((0, 4,
    4))},
    {"maps": np.zeros((4, 4))}, {"maps": 7}, {"maps": np.full((1, 4, 4), INF)},
    {"classes": ["cat"], "points": [(1, 1)]}, {"classes": ["cat"], "negative": [(1, 1)]}, {"classes": ["cat"],
    "names": ["a"]},
    {"points": [(1, 1)], "negative": [(NAN, 1)]}, {"points": [(1, 1)], "negative": 7},
)  # fmt: skip
SETTINGS: tuple[dict[str, Any], ...] = (
    {"iterations": -1}, {"iterations": None}, {"iterations": "0x10"}, {"iterations": 2.5}, {"iterations": BIG},
    {"entropy": NAN},
    {"entropy": INF}, {"entropy": BIG}, {"entropy": "x" * 5000}, {"background": 2}, {"background": "\x1b[31m"},
    {"cross_weights": {12: NAN}}, {"cross_weights": {12: 1e308, 24: 1e308}}, {"cross_weights": {}},
    {"cross_weights": 7},
    {"colour": 1}, {"self_heads": []}, {"self_heads": [99]}, {"working_size": 0}, {"prompt": "x"}, {"prompt": 7},
    {"context": "{classes}"}, {"cross_heads": {12: [99]}}, {"resize": object()}, {"cluster": "maybe"},
)  # fmt: skip
GOOD: tuple[dict[str, Any], ...] = (
    {"classes": ["cat"]}, {"points": [(1, 2)]}, {"line": [(1, 1), (30, 20)]}, {"box": (1, 1, 30, 20)},
    {"iterations": 0},
    {"boxes": [(1, 1, 9, 9), (9, 9, 30, 20)]}, {"mask": np.eye(24, 40) > 0}, {"maps": np.ones((2, 3, 5))},
    {"entropy": 0.0},
)  # fmt: skip


def arguments(rng: Random, folder: Path) -> Case:
    """Calls of `set_image`, `segment` and `segment_batch`."""
    picture, way = noise(rng), rng.randrange(6)
    if way == 0:
        given = rng.choice(IMAGES)
        return Case(f"set_image({str(given)[:30]!r})", "bad", call=lambda seg: seg.set_image(given))
    if way == 1:
        whole = io.BytesIO()
        Image.fromarray(picture).save(whole, "PNG")
        cut = whole.getvalue()[: rng.randint(60, 900)]
        return Case("a truncated PIL image", "bad", call=lambda seg: seg.set_image(Image.open(io.BytesIO(cut))))
    if way == 2:
        count = rng.randint(0, 3)
        images: Any = rng.choice(
            ([picture] * 2, [picture.astype(np.float32)] * count, [picture, None], 7, [picture / 255])
        )
        words: Any = rng.choice(
            ([["cat"]], [["cat"], ["dog"], ["sheep"]], "cat", None, [[None]], [7, 7], [["cat"], "dog"])
        )
        return Case(
            f"segment_batch(..., {str(words)[:30]})", "either", call=lambda seg: seg.segment_batch(images, words)
        )

    prompt = rng.choice(GOOD if way == 5 else PROMPTS)
    settings = rng.choice(SETTINGS) if way == 4 else {}
    if not {"iterations", "entropy"} - set(prompt):
        prompt = {**prompt, "classes": ["cat"]}
    if way in (4, 5) and not set(prompt) - {"iterations", "entropy"}:
        prompt = {**prompt, "classes": ["cat"]}

    def call(seg: Any) -> object:
        seg.set_image(picture)
        return seg.segment(**prompt, **{key: each for key, each in settings.items() if key not in prompt})

    return Case(f"segment({str({**prompt, **settings})[:50]})", "good" if way == 5 else "bad", call=call)
