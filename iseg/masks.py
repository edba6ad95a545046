"""Refined columns -> score maps at image size -> label map (method step 5)."""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Background = Literal["power"] | float

NORM_EPSILON = 1e-6  # the published division by (maximum + 1e-6) before the background decision


def min_max(maps: Tensor) -> Tensor:
    """Each map (K, H, W) to [0, 1]; a constant map becomes all zero, never NaN."""
    low = maps.amin((1, 2), keepdim=True)
    extent = maps.amax((1, 2), keepdim=True) - low
    return (maps - low) / torch.where(extent > 0, extent, torch.ones_like(extent))


def resize(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear (align_corners=False) resize of (K, h, w) to (K, H, W), size = (H, W)."""
    return F.interpolate(maps[None], size, mode="bilinear", align_corners=False)[0]


def score_maps(columns: Tensor, size: tuple[int, int], working_size: int | None = 512) -> Tensor:
    """Columns (HW, K) on the square grid -> scores (K, H, W) float32 in [0, 1].

    The published tasks: bilinear to the square `working_size`, min-max, bilinear to `size` = (H, W), min-max. With
    `working_size=None`, as in the published interactive mode: min-max on the grid, then bilinear to `size`.
    """
    side = round(columns.shape[0] ** 0.5)
    # contiguous: maps of interleaved columns would stay so, and each step on them takes several times as long
    maps = columns.T.float().contiguous().reshape(-1, side, side)
    if working_size is None:
        return resize(min_max(maps), size)
    return min_max(resize(min_max(resize(maps, (working_size, working_size))), size))


def label_map(scores: Tensor, class_ids: Sequence[int], background: Background, rescale: bool = True) -> Tensor:
    """Scores -> labels: 0 is background, `class_ids[k]` the k-th class; no other class can win.

    `background="power"`: the background scores (1 - max_k m_k)^2 and the label is the argmax over [background,
    classes]. `background=b`: scores under b count as 0, the label is the argmax over classes, background where all
    are 0.

    Args:
        scores: (K, H, W), any range if `rescale`, else within [0, 1].
        class_ids: K positive labels.
        background: "power" or a threshold in [0, 1].
        rescale: bring each map to [0, 1] first (min-max, then divided by maximum + 1e-6), as the published tasks do;
            a constant map then counts as empty.

    Returns:
        (H, W) int64.
    """
    if scores.shape[0] != len(class_ids):
        raise ValueError(f"scores hold {scores.shape[0]} maps, class_ids {len(class_ids)} labels")
    maps = scores
    if rescale:
        maps = min_max(scores)
        maps = maps / (maps.amax((1, 2), keepdim=True) + NORM_EPSILON)
    labels = torch.tensor([0, *class_ids], device=scores.device)
    if background == "power":
        rest = (1 - maps.amax(0)).square()
        # max and its index: torch's argmax along the first axis takes many times as long on the CPU
        return labels[torch.cat([rest[None], maps]).max(0).indices]
    maps = torch.where(maps < float(background), torch.zeros_like(maps), maps)
    best, index = maps.max(0)
    return labels[torch.where(best > 0, index + 1, torch.zeros_like(index))]
