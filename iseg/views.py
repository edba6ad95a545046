"""Several looks at one picture, as squares of several sizes and mirrored: how they are named, and their maps as one."""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from iseg.backbones.table import BackboneRow
from iseg.errors import InputError, echo

FLIP = "flip"


@dataclass(frozen=True)
class View:
    """How a picture is looked at: as a square of `size` pixels, mirrored or not."""

    size: int
    mirrored: bool = False


def read_views(text: str | None, row: BackboneRow) -> list[View]:
    """`512,384,flip` -> every size, each mirrored, too, where `flip` is among them; the largest first.

    Without a size it is the model's own; None is the plain picture. The order of the text does not matter, so that sums
    over the views are the same, digit by digit.

    Raises InputError for anything else, and for sizes that the model cannot take.
    """
    parts = [] if text is None else [part.strip() for part in text.split(",")]
    sizes = [int(part) for part in parts if part.isdecimal()]
    if len(sizes) + parts.count(FLIP) != len(parts) or len(set(parts)) < len(parts) or len(set(sizes)) < len(sizes):
        raise InputError(f"views is {echo(text)}: expected sizes in pixels and flip, each once, e.g. "
                         f"{row.image_size},flip")  # fmt: skip
    for size in sizes:
        try:
            row.at_size(size)
        except InputError as error:
            raise InputError(f"views is {echo(text)}: {error}") from None
    both = (False, True) if FLIP in parts else (False,)
    return [View(size, mirrored) for size in sorted(sizes or [row.image_size], reverse=True) for mirrored in both]


def unmirrored(steps: Tensor) -> Tensor:
    """Maps (N + 1, HW, K) of a mirrored picture, turned back."""
    side = round(steps.shape[1] ** 0.5)
    return steps.unflatten(1, (side, side)).flip(2).flatten(1, 2)


def on_grid(steps: Tensor, side: int) -> Tensor:
    """Maps (N + 1, HW, K) brought to a grid of side x side cells, bilinear; their sums stay about what they are."""
    own = round(steps.shape[1] ** 0.5)
    if own == side:
        return steps
    grids = steps.unflatten(1, (own, own)).permute(0, 3, 1, 2)
    large = F.interpolate(grids, (side, side), mode="bilinear", align_corners=False) * (own / side) ** 2
    return large.permute(0, 2, 3, 1).flatten(1, 2)
