"""The page's objects as it sends them (plain JSON) -> checked, typed values."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from iseg.errors import InputError
from iseg.marks import Marks
from iseg.page.choices import Decision, parse_decision
from iseg.page.corrections import Clean, Stroke, check_work
from iseg.page.everything import Pieces, parse_pieces
from iseg.page.parse import number, text, tuples
from iseg.page.settings import UiSettings

COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
MAX_MARKS = 20_000  # numbers of one object; far more than a hand draws
MAX_STROKE_POINTS = 100_000
MAX_STROKE_WORK = 4e9  # pixels that an object's strokes may have looked at
MAX_TEXT = 400
IDLE = Clean()


@dataclass(frozen=True)
class Words:
    """The phrases of one text prompt, and which of them the object is."""

    phrases: tuple[str, ...]
    index: int


@dataclass(frozen=True)
class PageObject:
    """One object of the page.

    Attributes:
        marks, words: what it comes from; with both, their maps count alike. None without any.
        pieces: the regions without words that it is made of, in the place of words.
        strokes: the brush's and the eraser's. clean: what is done to its region before the strokes.
        entropy, enhancement, iterations, threshold: settings of the method; enhancement matters to words only.
        decision: settings of the recipe that were chosen for this object, see `iseg.page.choices`.
        name: what the person calls it. colour: "#rrggbb".
    """

    marks: Marks | None
    words: Words | None
    entropy: float
    enhancement: float
    iterations: int
    threshold: float
    strokes: tuple[Stroke, ...] = ()
    clean: Clean = IDLE
    decision: Decision = ()
    name: str = "object"
    colour: str = "#000000"
    pieces: Pieces | None = None

    @property
    def is_corrected(self) -> bool:
        """Whether more than a threshold decides its region."""
        return bool(self.strokes) or not self.clean.is_idle


def parse_object(value: Any, settings: UiSettings) -> PageObject:
    """One object of a request. Raises InputError naming what is wrong."""
    if not isinstance(value, Mapping):
        raise InputError(f"object is a {type(value).__name__}: expected a mapping")
    colour = value.get("colour", "#000000")
    if not isinstance(colour, str) or not COLOUR.fullmatch(colour):
        raise InputError(f"colour is {colour!r}: expected #rrggbb")
    marks = _marks(value["marks"]) if value.get("marks") is not None else None
    words = _words(value["words"]) if value.get("words") is not None else None
    pieces = parse_pieces(value["pieces"]) if value.get("pieces") is not None else None
    strokes = _strokes(value.get("strokes", []), settings)
    if marks is None and words is None and pieces is None and not strokes:
        raise InputError("an object needs marks, words, regions or strokes")
    return PageObject(
        marks=marks,
        words=words,
        pieces=pieces,
        strokes=strokes,
        clean=_clean(value.get("clean", {})),
        decision=parse_decision(value.get("decision", {})),
        entropy=number(value.get("entropy"), "entropy", 0, 1),
        enhancement=number(value.get("enhancement"), "enhancement", 0, 10),
        iterations=round(number(value.get("iterations"), "iterations", 0, settings.max_iterations)),
        threshold=number(value.get("threshold"), "threshold", 0, 1),
        name=text(value.get("name", "object"), "name", MAX_TEXT),
        colour=colour,
    )


def parse_objects(value: Any, settings: UiSettings) -> list[PageObject]:
    """A list of at least one object."""
    if not isinstance(value, list) or not value:
        raise InputError("there is no object: mark one first")
    if len(value) > settings.max_objects:
        raise InputError(f"there are {len(value)} objects: expected at most {settings.max_objects}")
    return [parse_object(each, settings) for each in value]


def _marks(value: Any) -> Marks:
    if not isinstance(value, Mapping):
        raise InputError(f"marks is a {type(value).__name__}: expected a mapping")
    lines = value.get("lines", [])
    if not isinstance(lines, list):
        raise InputError("lines is not a list")
    marks = Marks(
        points=tuples(value.get("points", []), "points", 2),
        negative=tuples(value.get("negative", []), "negative", 2),
        lines=tuple(tuples(line, "line", 2) for line in lines),
        boxes=tuples(value.get("boxes", []), "boxes", 4),
    )
    count = len(marks.points) + len(marks.negative) + len(marks.boxes) + sum(len(line) for line in marks.lines)
    if count > MAX_MARKS:
        raise InputError(f"the object has {count} marks: expected at most {MAX_MARKS}")
    return marks


def _words(value: Any) -> Words:
    if not isinstance(value, Mapping):
        raise InputError("words needs a list of phrases")
    phrases = parse_phrases(value.get("phrases"))
    return Words(phrases, round(number(value.get("index", 0), "index", 0, len(phrases) - 1)))


def parse_phrases(value: Any) -> tuple[str, ...]:
    """The phrases of a prompt, at least one; empty ones are left out."""
    if not isinstance(value, list):
        raise InputError("words needs a list of phrases")
    phrases = tuple(phrase for each in value if (phrase := text(each, "phrase", MAX_TEXT)))
    if not phrases:
        raise InputError("nothing is described: expected words, e.g. dog; sofa")
    if len(phrases) > 100:
        raise InputError(f"{len(phrases)} phrases: expected at most 100")
    return phrases


def _strokes(value: Any, settings: UiSettings) -> tuple[Stroke, ...]:
    if not isinstance(value, list) or not all(isinstance(each, Mapping) for each in value):
        raise InputError("strokes is not a list of strokes")
    longest = (settings.max_megapixels * 1e6) ** 0.5
    strokes = tuple(
        Stroke(
            points=tuples(each.get("points"), "points of a stroke", 2),
            radius=number(each.get("radius"), "radius of a stroke", 0.1, longest),
            erases=each.get("erases") is True,
            order=round(number(each.get("order", 0), "order of a stroke", 0, 1e6)),
        )
        for each in value
    )
    if not all(stroke.points for stroke in strokes):
        raise InputError("a stroke has no point")
    if sum(len(stroke.points) for stroke in strokes) > MAX_STROKE_POINTS:
        raise InputError(f"the strokes of an object have too many points: expected at most {MAX_STROKE_POINTS}")
    check_work(strokes, MAX_STROKE_WORK)
    return strokes


def _clean(value: Any) -> Clean:
    known = [each.name for each in fields(Clean)]
    if not isinstance(value, Mapping) or not all(key in known and isinstance(on, bool) for key, on in value.items()):
        raise InputError(f"clean is {value!r:.80}: expected a mapping of {', '.join(known)} to true or false")
    return Clean(**value)
