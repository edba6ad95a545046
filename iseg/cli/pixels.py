"""Points and boxes in pixels, as text of the command line or lists of a file."""

import math
from collections.abc import Sequence
from typing import Any

from iseg.errors import InputError, echo
from iseg.marks import Box, Point

Numbers = str | list[float] | list[list[float]]


def parse_points(option: str, given: Numbers) -> list[Point]:
    """ "x,y x,y ..." or [[x, y], ...] -> pixels (x, y). Raises InputError naming the option and the part in fault."""
    expected = "expected pixels 'x,y x,y ...', e.g. '120,80 200,95'"
    groups = _groups(option, given, expected)
    if not groups:
        raise InputError(f"{option}: no point was given: {expected}")
    points = []
    for group in groups:
        if len(group) != 2:
            raise InputError(f"{option}: {_shown(group)} is not a point: {expected}")
        points.append((_number(option, group[0], expected), _number(option, group[1], expected)))
    return points


def parse_boxes(option: str, given: Numbers) -> list[Box]:
    """ "x0,y0,x1,y1 x0,y0,x1,y1 ..." or [[x0, y0, x1, y1], ...] -> boxes. Raises InputError naming the option."""
    expected = "expected boxes 'x0,y0,x1,y1 x0,y0,x1,y1 ...' in pixels"
    groups = _groups(option, given, expected)
    if not groups:
        raise InputError(f"{option}: no box was given: {expected}")
    return [parse_box(option, group) for group in groups]


def parse_box(option: str, given: Numbers) -> Box:
    """ "x0,y0,x1,y1" or [x0, y0, x1, y1] -> corners in pixels. Raises InputError naming the option."""
    expected = "expected corners in pixels 'x0,y0,x1,y1', e.g. '40,30,220,180'"
    if not isinstance(given, (str, list, tuple)):
        raise InputError(f"{option}: {echo(given)} is not a box: {expected}")
    values: list = given.replace(",", " ").split() if isinstance(given, str) else list(given)
    shown = echo(given) if isinstance(given, str) else _shown(values)
    if len(values) != 4:
        raise InputError(f"{option}: {shown} has {len(values)} numbers: {expected}")
    x0, y0, x1, y1 = (_number(option, value, expected) for value in values)
    if x0 == x1 or y0 == y1:
        raise InputError(f"{option}: {shown} is empty: {expected} with x0 < x1 and y0 < y1")
    return x0, y0, x1, y1


def _groups(option: str, given: Any, expected: str) -> list[list]:
    if isinstance(given, str):
        return [text.split(",") for text in given.replace(";", " ").split()]
    if not isinstance(given, (list, tuple)):
        raise InputError(f"{option}: {echo(given)}: {expected}")
    return [list(each) if isinstance(each, (list, tuple)) else [each] for each in given]


def _shown(group: Sequence[Any]) -> str:
    return echo(",".join(str(each) for each in group[:9]))


def _number(option: str, value: object, expected: str) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        shown = echo(value if isinstance(value, (str, int)) else str(value))
        raise InputError(f"{option}: {shown} is not a number: {expected}")
    return number
