"""Scores -> labels again, with a background, a band that is not decided, and how sure each pixel is."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from iseg.data.items import IGNORE
from iseg.errors import InputError
from iseg.masks import Background, label_map


@dataclass(frozen=True)
class Band:
    """Which pixels are left undecided.

    Attributes:
        low, high: those whose best class scores more than `low` and less than `high`; with a margin not looked at.
        margin: those whose best two of background and classes are less than this apart; None with a band.
    """

    low: float = 0.0
    high: float = 0.0
    margin: float | None = None


def parse_band(text: str, background: Background, polished: bool) -> Band:
    """`LOW,HIGH` for a threshold, `MARGIN` for the power rule and for polished scores. InputError for anything else."""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) not in (1, 2) or not all(0 <= value <= 1 for value in values) or values != sorted(values):
        raise InputError(f"ignore is {text!r}: expected LOW,HIGH within 0..1, e.g. 0.35,0.55, or one margin, e.g. 0.2")
    if len(values) == 1:
        return Band(margin=values[0])
    if background == "power" or polished:
        what = "the power rule has" if background == "power" else "scores that were polished have"
        raise InputError(f"ignore is {text}: {what} no threshold: expected one margin to the second score, e.g. 0.2")
    return Band(values[0], values[1])


def evidence(scores: Tensor, background: Background) -> Tensor:
    """Scores (K, H, W) in [0, 1] -> (K + 1, H, W): the background first, (1 - max_k m_k)^2 or the threshold."""
    scores = scores.float()
    best = scores.amax(0)
    first = (1 - best).square() if background == "power" else torch.full_like(best, float(background))
    return torch.cat([first[None], scores])


def margins(maps: Tensor) -> Tensor:
    """Maps (K + 1, H, W) -> (H, W) in [0, 1]: how far the best is above the second, over the best if above 1."""
    best, second = maps.float().topk(2, 0).values
    return ((best - second) / best.clamp_min(1)).clamp(0, 1)


def decide_again(
    scores: Tensor, maps: Tensor, class_ids: Sequence[int], background: Background, polished: bool, rescale: bool
) -> Tensor:
    """Labels (H, W) uint8: of plain scores by the method's own decision, of polished maps by the largest.

    Args:
        scores: (K, H, W) in [0, 1], as saved.
        maps: (K + 1, H, W), their `evidence`, through the steps if any.
        class_ids: K labels.
        background: "power" or a threshold.
        polished: whether there were steps.
        rescale: see `label_map`.
    """
    if not polished:
        return label_map(scores.float(), class_ids, background, rescale)
    return torch.tensor([0, *class_ids], dtype=torch.uint8)[maps.argmax(0).cpu()]


def apply_band(labels: Tensor, scores: Tensor, sure: Tensor, band: Band) -> Tensor:
    """Labels (H, W) with 255 where the band leaves them undecided; scores (K, H, W), `sure` the margins (H, W)."""
    if band.margin is not None:
        undecided = sure < band.margin
    else:
        best = scores.float().amax(0)
        undecided = (best > band.low) & (best < band.high)
    return labels.masked_fill(undecided, IGNORE)
