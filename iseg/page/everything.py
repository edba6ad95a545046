"""The page's regions without words: shown under the pointer, and taken into objects."""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import torch
from torch import Tensor

from iseg.errors import InputError
from iseg.page.parse import number
from iseg.regions import Regions

EDGE = 0.5  # of the map of an object made of regions: the threshold that such an object has
MAX_NUMBER = 10_000


@dataclass(frozen=True)
class Pieces:
    """The regions that an object is made of: their numbers at a coarseness."""

    coarse: float
    numbers: tuple[int, ...]


def parse_pieces(value: Any) -> Pieces:
    """Pieces of a request. Raises InputError naming what is wrong."""
    if not isinstance(value, Mapping) or not isinstance(value.get("numbers"), list) or not value["numbers"]:
        raise InputError("pieces needs a list of region numbers")
    if len(value["numbers"]) > MAX_NUMBER:
        raise InputError(f"pieces has {len(value['numbers'])} numbers: expected at most {MAX_NUMBER}")
    numbers = sorted({round(number(each, "number", 0, MAX_NUMBER)) for each in value["numbers"]})
    return Pieces(number(value.get("coarse"), "coarse", 0, 1), tuple(numbers))


def found_at(coarse: float, kept: Regions | None, find: Callable[[], Regions]) -> Regions:
    """Regions at a coarseness: from those that are kept, else found anew."""
    found = kept or find()
    return found if found.coarse == coarse else found.at(coarse)


def packed(found: Regions, size: tuple[int, int]) -> dict[str, Any]:
    """What the page is told: labels (H, W) of the view as uint16 in base64, a score each, the size."""
    labels = cv2.resize(found.labels.astype("<u2"), size[::-1], interpolation=cv2.INTER_NEAREST)
    return {
        "labels": base64.b64encode(labels.tobytes()).decode(),
        "width": size[1],
        "height": size[0],
        "scores": [round(float(score), 4) for score in found.scores],
        "coarse": found.coarse,
    }


def piece_map(found: Regions, pieces: Pieces) -> Tensor:
    """The map (HW, 1) in [0, 1] of the regions together: `EDGE` where another region explains a place as well.

    Raises InputError for a region that is not there, and where nothing is left outside.
    """
    count = len(found.scores)
    if pieces.numbers[-1] >= count:
        raise InputError(f"there is no region {pieces.numbers[-1]}: the image has {count} at this coarseness")
    if len(pieces.numbers) == count:
        raise InputError("these regions are the whole image: choose fewer, or move the slider towards many")
    maps = torch.from_numpy(found.maps).flatten(1)
    inside = torch.zeros(count, dtype=torch.bool)
    inside[list(pieces.numbers)] = True
    margin = maps[inside].amax(0) - maps[~inside].amax(0)
    # the same distance counts alike on both sides, and 0 and 1 are reached: the page stretches maps to [0, 1]
    scale = min(float(margin.amax()), float(-margin.amin()))
    if scale <= 0:
        raise InputError("the region is smaller than a cell of the grid: move the slider towards few")
    return (EDGE + EDGE * (margin / scale).clamp(-1, 1))[:, None]
