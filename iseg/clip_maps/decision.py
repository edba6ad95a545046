"""Coarse and refined maps -> which classes are alive, and labels (CLIPer 2411.13836)."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from iseg import masks
from iseg.clip_maps.settings import ClipMaps

EPSILON, NORM_EPSILON = 1e-5, 1e-6


def class_scores(refined: Tensor, coarse_peaks: Tensor) -> Tensor:
    """(F,) half the maximum of the refined maps (F, h, w), half that of the coarse ones before any resize, (F,)."""
    return 0.5 * refined.flatten(1).amax(1) + 0.5 * coarse_peaks


def alive(scores: Tensor, settings: ClipMaps) -> list[int]:
    """Indices, ascending, of the classes whose score (F,) lies above the threshold; none if no class does."""
    return (scores > settings.score_threshold).nonzero().flatten().tolist()


def each_final(refined: Tensor, scores: Tensor, size: tuple[int, int], min_max: bool) -> Iterator[Tensor]:
    """Maps (H, W) at `size`, one class at a time: each resized, divided by its maximum, times its score.

    With `min_max` each is then brought to [0, 1], which undoes the scaling. A map of zeros stays zero.
    """
    for each, score in zip(refined, scores, strict=True):
        scaled = masks.resize(each[None], size)[0]
        scaled = scaled / (scaled.amax() + EPSILON) * score
        if min_max:
            scaled = scaled - scaled.amin()
            scaled = scaled / (scaled.amax() + NORM_EPSILON)
        yield scaled


def decide(
    refined: Tensor, scores: Tensor, size: tuple[int, int], settings: ClipMaps, class_ids: Sequence[int] | None = None
) -> Tensor:
    """Labels (H, W) uint8 at `size`: `class_ids[c]` (c + 1 by default) of the living classes, 0 = background.

    Args:
        refined: (F, h, w); scores: (F,) of `class_scores`.
    """
    kept = alive(scores, settings)
    if not kept:
        return torch.zeros(size, dtype=torch.uint8, device=refined.device)
    ids = [index + 1 if class_ids is None else class_ids[index] for index in kept]
    finals = each_final(refined[kept], scores[kept], size, settings.min_max)
    background = settings.background_threshold
    return masks.label_map(finals, ids, background if background > 0 else "power", rescale=False)
