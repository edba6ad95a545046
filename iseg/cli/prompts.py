"""What the user asks for, as text of the command line or values of a YAML file -> class words, points, boxes."""

import math
from collections.abc import Sequence

from iseg.errors import InputError
from iseg.marks import Marks, Point

Numbers = str | list[float] | list[list[float]]


def parse_classes(given: str | Sequence[str]) -> list[str]:
    """ "cat; potted plant" or a list -> words. Raises InputError for none, an empty word, one given twice."""
    words = [word.strip() for word in (given.split(";") if isinstance(given, str) else given)]
    if isinstance(given, str) and words and not words[-1]:
        words.pop()  # a ";" may end the list
    if not words:
        raise InputError(
            f"--classes {given!r}: no class word: expected words set apart by ';', e.g. 'cat; potted plant'"
        )
    for position, word in enumerate(words, 1):
        if not any(character.isalnum() for character in word):
            raise InputError(f"--classes: word {position} is {word!r}: expected letters, e.g. 'cat; potted plant'")
        if word.casefold() in [other.casefold() for other in words[: position - 1]]:
            raise InputError(f"--classes: {word!r} is given twice: expected each word once")
    return words


def parse_vocabulary(given: str | Sequence[str]) -> list[str]:
    """ "a; b; c", a file with one word per line, or a list -> words. Raises InputError as `read_vocabulary` does."""
    from iseg.tagging import read_vocabulary  # loads torch
    from iseg.tagging.tagger import check_names

    if isinstance(given, str):
        return read_vocabulary(given)
    check_names(given)
    return list(given)


def parse_points(option: str, given: Numbers) -> list[Point]:
    """ "x,y x,y ..." or [[x, y], ...] -> pixels (x, y). Raises InputError naming the option and the part in fault."""
    expected = "expected pixels 'x,y x,y ...', e.g. '120,80 200,95'"
    if isinstance(given, str):
        groups: list = [text.split(",") for text in given.replace(";", " ").split()]
    else:
        groups = [each if isinstance(each, list) else [each] for each in given]
    if not groups:
        raise InputError(f"{option}: no point was given: {expected}")
    points = []
    for group in groups:
        if len(group) != 2:
            raise InputError(f"{option}: {','.join(map(str, group))!r} is not a point: {expected}")
        points.append((_number(option, group[0], expected), _number(option, group[1], expected)))
    return points


def parse_box(option: str, given: Numbers) -> tuple[float, float, float, float]:
    """ "x0,y0,x1,y1" or [x0, y0, x1, y1] -> corners in pixels. Raises InputError naming the option."""
    expected = "expected corners in pixels 'x0,y0,x1,y1', e.g. '40,30,220,180'"
    values: list = given.replace(",", " ").split() if isinstance(given, str) else list(given)
    if len(values) != 4:
        raise InputError(f"{option}: {given!r} has {len(values)} numbers: {expected}")
    x0, y0, x1, y1 = (_number(option, value, expected) for value in values)
    if x0 == x1 or y0 == y1:
        raise InputError(f"{option}: {given!r} is empty: {expected} with x0 < x1 and y0 < y1")
    return x0, y0, x1, y1


def _number(option: str, value: object, expected: str) -> float:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"{option}: {str(value)!r} is not a number: {expected}")
    return number


def check_inside(marks: Marks, size: tuple[int, int]) -> None:
    """Raises InputError for a point or box outside an image of size (H, W), before anything costly is done."""
    if marks != Marks():
        from iseg import seeds

        seeds.columns(marks, size)
