"""The kinds of prompts beside class words: what was given -> checked first maps on the grid."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from iseg import seeds
from iseg.errors import InputError
from iseg.marks import Marks, as_box, as_points

SEVERAL = {"boxes": "box", "maps": "map"}  # kinds whose columns are objects of their own, and what one is called


@dataclass(frozen=True)
class FirstMaps:
    """What refinement starts from.

    Attributes:
        columns: (HW, K).
        negative: (HW, K') columns of what is not in the object, or None.
        names: of the K objects; None where all columns are seeds of one object.
        marks: of each object; None where it does not come from marks.
    """

    columns: Tensor
    negative: Tensor | None = None
    names: list[str] | None = None
    marks: list[Marks] | None = None


def one_kind(prompts: dict[str, Any], negative: Sequence[Any], names: Sequence[str] | None) -> str:
    """The kind of prompt that was given. Raises InputError unless it is one, with what goes with it."""
    kinds = [name for name, value in prompts.items() if value is not None]
    if len(kinds) != 1:
        raise InputError(f"{' and '.join(kinds) or 'nothing'} was given: expected exactly one of {', '.join(prompts)}")
    if kinds != ["points"] and len(as_points(negative, "negative")):
        raise InputError("negative points were given without points: expected both")
    if names is not None and kinds[0] not in SEVERAL:
        raise InputError("names were given without boxes or maps: expected them with one of these")
    return kinds[0]


def first_maps(
    kind: str, given: Any, negative: Sequence[Any], names: Sequence[str] | None, size: tuple[int, int], grid: int
) -> FirstMaps:
    """First maps of points, a line, a box, a mask, boxes or maps on an image of `size` = (H, W). Raises InputError."""
    if kind in SEVERAL:
        columns = seeds.boxes(given, size, grid) if kind == "boxes" else seeds.from_maps(given, grid)
        of_each = [Marks(boxes=[as_box(each, kind)]) for each in given] if kind == "boxes" else None
        return FirstMaps(columns, names=_names(names, kind, columns.shape[1]), marks=of_each)
    if kind == "mask":
        return FirstMaps(seeds.rough_mask(_same_size(given, size), grid))
    if kind == "points":
        marks = Marks(points=as_points(given, "points"), negative=as_points(negative, "negative"))
    else:
        marks = Marks(lines=[as_points(given, "line")]) if kind == "line" else Marks(boxes=[as_box(given, "box")])
    return FirstMaps(*seeds.columns(marks, size, grid), marks=[marks])


def _same_size(mask: Any, size: tuple[int, int]) -> NDArray:
    array = np.asarray(mask)
    if array.dtype.kind not in "biuf" or array.shape != size or not np.isfinite(array).all():
        raise InputError(
            f"the seed mask has shape {array.shape} and type {array.dtype}: expected numbers of the image's "
            f"(H, W) = {size}"
        )
    return array


def _names(given: Sequence[str] | None, kind: str, count: int) -> list[str]:
    """K names, "box 1", "map 1", ... by default."""
    names = [f"{SEVERAL[kind]} {k}" for k in range(1, count + 1)] if given is None else [str(name) for name in given]
    if len(names) != count:
        raise InputError(f"{len(names)} names were given for {count} {kind}: expected one each")
    return names
