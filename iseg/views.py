"""Several looks at one picture, as squares of several sizes and mirrored: how they are named, and their maps as one."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor

from iseg.backbones.table import BackboneRow
from iseg.errors import InputError, echo
from iseg.results import Attended

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


@torch.inference_mode()
def averaged(seen: Sequence[Attended]) -> Attended:
    """Passes of one picture at several sizes -> one: the mean of their attention, float32, on the grid of the first."""
    first = seen[0]
    if len(seen) == 1:
        return first
    side, tokens = first.grid_size, None
    maps = [each.token_maps for each in seen if each.token_maps is not None]  # of all, or of none
    if maps:
        total = _sum(on_grid(each.float().flatten(1).T[None], side) for each in maps)  # (1, HW, L)
        tokens = (total / len(maps))[0].T.unflatten(1, (side, side))
    attention = _sum(matrix_on_grid(each.attention, side) for each in seen) / len(seen)
    further = [averaged(parts) for parts in zip(*(each.further for each in seen), strict=True)]
    return Attended(tokens, attention, first.spans, first.names, first.size, further, first.picture)


def matrix_on_grid(attention: Tensor, side: int) -> Tensor:
    """Self-attention (hw, hw), rows = queries, float32 on a grid of side x side cells, (HW, HW); rows sum to 1."""
    if attention.shape[0] == side * side:
        return attention.float()
    keys = on_grid(attention.float().T[None], side)[0]  # (HW, hw)
    rows = on_grid(keys.T[None], side)[0]  # (HW, HW)
    return rows.div_(rows.sum(1, keepdim=True))


def _sum(parts: Iterable[Tensor]) -> Tensor:
    return reduce(torch.add, parts)
