"""What a person points at."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from iseg.errors import InputError

Point = tuple[float, float]
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Marks:
    """What was pointed at, in pixels (x, y) of the image.

    Attributes:
        points, negative: pixels that belong to the object, and that do not.
        lines: polylines through the object.
        boxes: corners (x0, y0, x1, y1) in any order around the object, far edges exclusive.
    """

    points: Sequence[Point] = ()
    negative: Sequence[Point] = ()
    lines: Sequence[Sequence[Point]] = ()
    boxes: Sequence[Box] = ()

    @property
    def through(self) -> list[Point]:
        """Pixels of points and lines, all of which belong to the object."""
        return [*self.points, *(point for line in self.lines for point in line)]

    def scaled(self, across: float, down: float) -> "Marks":
        """The same on a picture so many times as wide and high; points lie in the middle of their pixels before."""

        def moved(points: Sequence[Point]) -> list[Point]:
            return [((math.floor(x) + 0.5) * across, (math.floor(y) + 0.5) * down) for x, y in points]

        boxes = [(xa * across, ya * down, xb * across, yb * down) for xa, ya, xb, yb in self.boxes]
        return Marks(moved(self.points), moved(self.negative), [moved(line) for line in self.lines], boxes)


def as_points(given: Any, name: str) -> list[Point]:
    """Pixels [(x, y), ...] of a list or (n, 2) array. Raises InputError naming what was given under `name`."""
    expected = "expected pixels (x, y), e.g. [(120, 80), (200, 95)]"
    if isinstance(given, (str, bytes)) or not hasattr(given, "__iter__"):
        raise InputError(f"{name} is {given!r:.80}: {expected}")
    return [_numbers(each, 2, name, expected) for each in given]


def as_box(given: Any, name: str) -> Box:
    """Corners (x0, y0, x1, y1). Raises InputError naming what was given under `name`."""
    return _numbers(given, 4, name, "expected corners (x0, y0, x1, y1) in pixels")


def _numbers(given: Any, count: int, name: str, expected: str) -> tuple[Any, ...]:
    try:
        if isinstance(given, (str, bytes)):
            raise TypeError
        values = tuple(float(value) for value in given)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{name} holds {given!r:.80}: {expected}") from None
    if len(values) != count or not all(map(math.isfinite, values)):
        raise InputError(f"{name} holds {given!r:.80}: {expected}")
    return values
