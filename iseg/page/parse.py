"""Single values of a request: numbers, texts, tuples of numbers."""

import math
from collections.abc import Sequence
from typing import Any

from iseg.errors import InputError


def number(value: Any, name: str, low: float, high: float) -> float:
    """A finite number in a range."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise InputError(f"{name} is {value!r:.80}: expected a number in {low}..{high}")
    if not low <= value <= high:
        raise InputError(f"{name} is {value:g}: expected {low}..{high}")
    return float(value)


def text(value: Any, name: str, longest: int) -> str:
    """A text without control characters."""
    if not isinstance(value, str):
        raise InputError(f"{name} is a {type(value).__name__}: expected a text")
    clean = "".join(letter for letter in value if letter.isprintable()).strip()
    if len(clean) > longest:
        raise InputError(f"{name} has {len(clean)} letters: expected at most {longest}")
    return clean


def tuples(value: Any, name: str, length: int) -> tuple[Any, ...]:
    """A list of tuples of `length` numbers each."""
    if not isinstance(value, list):
        raise InputError(f"{name} is a {type(value).__name__}: expected a list of {length} numbers each")
    return tuple(_tuple(each, name, length) for each in value)


def _tuple(value: Any, name: str, length: int) -> tuple[float, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != length:
        raise InputError(f"{name} holds {value!r:.80}: expected {length} numbers")
    return tuple(number(each, name, -1e9, 1e9) for each in value)
