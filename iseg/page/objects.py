"""The page's objects as it sends them (plain JSON) -> checked, typed values -> seed columns."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from iseg import seeds
from iseg.errors import InputError
from iseg.marks import Marks
from iseg.page.settings import UiSettings

COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
MAX_MARKS = 20_000  # numbers of one object; far more than a hand draws
MAX_TEXT = 400


def seed_columns(marks: Marks, size: tuple[int, int], grid: int, max_cells: int) -> tuple[Tensor, Tensor | None]:
    """`seeds.columns` of an object's marks. Raises InputError if its points and lines touch too many cells."""
    positive, negative = seeds.columns(marks, size, grid)
    cells = positive.shape[1] - len(marks.boxes)
    if cells > max_cells:
        raise InputError(
            f"the points and lines touch {cells} cells of the grid: expected at most {max_cells}; "
            "use fewer or shorter lines"
        )
    return positive, negative


@dataclass(frozen=True)
class Words:
    """The phrases of one text prompt, and which of them the object is."""

    phrases: tuple[str, ...]
    index: int


@dataclass(frozen=True)
class PageObject:
    """One object of the page.

    Attributes:
        source: the marks or the words that it comes from.
        entropy, enhancement, iterations, threshold: settings of the method; enhancement matters to words only.
        name: what the person calls it. colour: "#rrggbb".
    """

    source: Marks | Words
    entropy: float
    enhancement: float
    iterations: int
    threshold: float
    name: str = "object"
    colour: str = "#000000"


def parse_object(value: Any, settings: UiSettings) -> PageObject:
    """One object of a request. Raises InputError naming what is wrong."""
    if not isinstance(value, Mapping):
        raise InputError(f"object is a {type(value).__name__}: expected a mapping")
    if ("marks" in value) == ("words" in value):
        raise InputError("an object needs either marks or words")
    colour = value.get("colour", "#000000")
    if not isinstance(colour, str) or not COLOUR.fullmatch(colour):
        raise InputError(f"colour is {colour!r}: expected #rrggbb")
    return PageObject(
        source=_marks(value["marks"]) if "marks" in value else _words(value["words"]),
        entropy=number(value.get("entropy"), "entropy", 0, 1),
        enhancement=number(value.get("enhancement"), "enhancement", 0, 10),
        iterations=round(number(value.get("iterations"), "iterations", 0, settings.max_iterations)),
        threshold=number(value.get("threshold"), "threshold", 0, 1),
        name=text(value.get("name", "object"), "name", 100),
        colour=colour,
    )


def parse_objects(value: Any, settings: UiSettings) -> list[PageObject]:
    """A list of at least one object."""
    if not isinstance(value, list) or not value:
        raise InputError("there is no object: mark one first")
    if len(value) > settings.max_objects:
        raise InputError(f"there are {len(value)} objects: expected at most {settings.max_objects}")
    return [parse_object(each, settings) for each in value]


def number(value: Any, name: str, low: float, high: float) -> float:
    """A finite number in a range."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise InputError(f"{name} is {value!r}: expected a number in {low}..{high}")
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


def _marks(value: Any) -> Marks:
    if not isinstance(value, Mapping):
        raise InputError(f"marks is a {type(value).__name__}: expected a mapping")
    lines = value.get("lines", [])
    if not isinstance(lines, list):
        raise InputError("lines is not a list")
    marks = Marks(
        points=_tuples(value.get("points", []), "points", 2),
        negative=_tuples(value.get("negative", []), "negative", 2),
        lines=tuple(_tuples(line, "line", 2) for line in lines),
        boxes=_tuples(value.get("boxes", []), "boxes", 4),
    )
    count = len(marks.points) + len(marks.negative) + len(marks.boxes) + sum(len(line) for line in marks.lines)
    if count > MAX_MARKS:
        raise InputError(f"the object has {count} marks: expected at most {MAX_MARKS}")
    return marks


def _tuples(value: Any, name: str, length: int) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise InputError(f"{name} is a {type(value).__name__}: expected a list of {length} numbers each")
    return tuple(_tuple(each, name, length) for each in value)


def _tuple(value: Any, name: str, length: int) -> tuple[float, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != length:
        raise InputError(f"{name} holds {value!r:.80}: expected {length} numbers")
    return tuple(number(each, name, -1e9, 1e9) for each in value)


def _words(value: Any) -> Words:
    if not isinstance(value, Mapping) or not isinstance(value.get("phrases"), list):
        raise InputError("words needs a list of phrases")
    phrases = tuple(phrase for each in value["phrases"] if (phrase := text(each, "phrase", MAX_TEXT)))
    if not phrases:
        raise InputError("nothing is described: expected words, e.g. dog; sofa")
    if len(phrases) > 20:
        raise InputError(f"{len(phrases)} phrases: expected at most 20")
    index = number(value.get("index", 0), "index", 0, len(phrases) - 1)
    return Words(phrases, round(index))
