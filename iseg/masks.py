"""Refined columns -> score maps at image size -> label map (method step 5)."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from iseg.errors import InputError

Background = Literal["power"] | float

LARGEST_LABEL = 255  # of a uint8 mask
POWER_BORDER = (3 - 5**0.5) / 2  # the score m = (1 - m)^2 at which the background "power" gives way
NORM_EPSILON = 1e-6  # the published division by (maximum + 1e-6) before the background decision


def min_max(maps: Tensor, places: tuple[int, ...] = (1, 2)) -> Tensor:
    """Each map (K, H, W) to [0, 1]; a constant map becomes all zero, never NaN. `places`: the axes of a map."""
    low = maps.amin(places, keepdim=True)
    extent = maps.amax(places, keepdim=True) - low
    return (maps - low) / torch.where(extent > 0, extent, torch.ones_like(extent))


def border_of(background: Background) -> float:
    """The score from which on a single map wins over the background."""
    return POWER_BORDER if background == "power" else float(background)


def resize(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear (align_corners=False) resize of (K, h, w) to (K, H, W), size = (H, W)."""
    return F.interpolate(maps[None], size, mode="bilinear", align_corners=False)[0]


def each_score(columns: Tensor, size: tuple[int, int], working_size: int | None = 512) -> Iterator[Tensor]:
    """Columns (HW, K) on the square grid -> K scores (H, W) float32 in [0, 1], one at a time.

    The published tasks: bilinear to the square `working_size`, min-max, bilinear to `size` = (H, W), min-max. With
    `working_size=None`, as in the published interactive mode: min-max on the grid, then bilinear to `size`.
    """
    side = round(columns.shape[0] ** 0.5)
    # contiguous: maps of interleaved columns would stay so, and each step on them takes several times as long
    maps = columns.T.float().contiguous().reshape(-1, 1, side, side)
    for each in maps:
        if working_size is None:
            yield resize(min_max(each), size)[0]
        else:
            yield min_max(resize(min_max(resize(each, (working_size, working_size))), size))[0]


def score_maps(columns: Tensor, size: tuple[int, int], working_size: int | None = 512) -> Tensor:
    """All of `each_score` at once: (HW, K) -> (K, H, W)."""
    scores = list(each_score(columns, size, working_size))
    return torch.stack(scores) if scores else columns.new_zeros((0, *size))


def label_map(
    scores: Iterable[Tensor],
    class_ids: Sequence[int],
    background: Background | Sequence[float],
    rescale: bool = True,
) -> Tensor:
    """Scores -> labels: 0 is background, `class_ids[k]` the k-th class; no other class can win.

    `background="power"`: the background scores (1 - max_k m_k)^2 and the label is the argmax over [background,
    classes]. `background=b`: scores under b count as 0, the label is the argmax over classes, background where all
    are 0. Of equals the first wins.

    Args:
        scores: K maps (H, W), a tensor (K, H, W) or made one at a time; any range if `rescale`, else within [0, 1].
        class_ids: K labels in 1..255.
        background: "power", a threshold in [0, 1], or one threshold per class.
        rescale: bring each map to [0, 1] first (min-max, then divided by maximum + 1e-6), as the published tasks do;
            a constant map then counts as empty.

    Returns:
        (H, W) uint8. Raises InputError for a label that no mask can hold.
    """
    if not all(0 < index <= LARGEST_LABEL for index in class_ids):
        raise InputError(f"{len(class_ids)} classes with labels up to {max(class_ids)}: expected 1..{LARGEST_LABEL}")
    if isinstance(scores, Tensor) and len(scores) != len(class_ids):
        raise ValueError(f"scores hold {len(scores)} maps, class_ids {len(class_ids)} labels")
    thresholds: Sequence[Background]
    thresholds = [background] * len(class_ids) if isinstance(background, (str, float, int)) else background
    best = labels = None
    for index, threshold, score in zip(class_ids, thresholds, scores, strict=True):
        score = _rescaled(score) if rescale else score
        if best is None or labels is None:
            best, labels = torch.zeros_like(score), torch.zeros_like(score, dtype=torch.uint8)
        above = score > best
        if threshold != "power":
            above &= score >= threshold
        best = torch.where(above, score, best)
        labels.masked_fill_(above, index)
    if best is None or labels is None:
        raise ValueError("label_map needs at least one map")
    if background == "power":
        labels.masked_fill_((1 - best).square_() >= best, 0)
    return labels


def decide(
    columns: Tensor,
    size: tuple[int, int],
    class_ids: Sequence[int],
    background: Background | Sequence[float],
    working_size: int | None,
) -> Tensor:
    """The decision: columns (HW, K) on the grid -> labels (H, W) uint8 at `size`, holding one score map at a time.

    See `each_score` and `label_map` for the arguments; the published tasks, which have a working size, rescale.
    """
    if columns.shape[1] != len(class_ids):
        raise ValueError(f"columns hold {columns.shape[1]} maps, class_ids {len(class_ids)} labels")
    if not len(class_ids):
        return torch.zeros(size, dtype=torch.uint8, device=columns.device)
    scores = each_score(columns, size, working_size)
    return label_map(scores, class_ids, background, rescale=working_size is not None)


def _rescaled(score: Tensor) -> Tensor:
    """A map (H, W) to [0, 1] as before the published background decision."""
    unit = min_max(score[None])[0]
    return unit.div_(unit.amax() + NORM_EPSILON)
