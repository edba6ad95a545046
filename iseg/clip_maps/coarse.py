"""Layers' patch features and texts -> coarse maps of classes (CLIPer 2411.13836).

L layers, R rows of the text matrix of which the class rows come first, F classes, hw patches row-major.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def text_matrix(classes: Tensor, background: Tensor) -> Tensor:
    """(R, D) unit rows: the classes (F, D), the background words, and the mean class as "none of them".

    The mean of one class would be its twin and take half of every probability: it is left out.
    """
    rows = [classes, background] + ([classes.mean(0, keepdim=True)] if len(classes) > 1 else [])
    return F.normalize(torch.cat(rows), dim=-1)


def patch_logits(features: Tensor, texts: Tensor, scale: float) -> Tensor:
    """Features (L, 1 + hw, D), class token first, and texts (R, D) -> scaled cosines of the patches (L, R, hw)."""
    return (scale * F.normalize(features[:, 1:], dim=-1) @ texts.T).transpose(1, 2)


def class_probabilities(logits: Tensor, groups: Sequence[int]) -> Tensor:
    """Softmax over the R rows of logits (L, R, hw) -> (L, F, hw) of the classes.

    groups: the number of rows, one after another from the first, that are names of each of the F classes; their
    probabilities are added.
    """
    named = logits.softmax(1)[:, : sum(groups)]
    if len(groups) == named.shape[1]:
        return named
    return torch.stack([part.sum(1) for part in named.split(list(groups), 1)], 1)


def coarse_maps(probabilities: Tensor, attention: Tensor, select: int, threshold: float) -> Tensor:
    """The selected layer's map, spread by the attention, plus the mean of all layers.

    Args:
        probabilities: (L, F, hw). It is not changed.
        attention: (hw, hw), mean over heads of the last layer's weights; place j collects from queries i.
        select: the layer, from the end: -1 is the last.
        threshold: share of a class's maximum below which its entries count as 0 in the selected layer, in the mean too.

    Returns:
        (F, hw), which can exceed 1. Raises ValueError for a layer that is not there.
    """
    if not -len(probabilities) <= select < 0:
        raise ValueError(f"select is {select}: there are {len(probabilities)} layers")
    chosen = probabilities[select]
    kept = torch.where(chosen < threshold * chosen.amax(1, keepdim=True), torch.zeros_like(chosen), chosen)
    mean = (probabilities.sum(0) - chosen + kept) / len(probabilities)
    return kept @ attention + mean
