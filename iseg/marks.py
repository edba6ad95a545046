"""What a person points at."""

from collections.abc import Sequence
from dataclasses import dataclass

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
