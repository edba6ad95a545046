"""What the tiny model is trained on: tokens, regions, and the method itself.

Shapes: K = classes of a batch item, padded to a common number and marked by `present` (B, K); L = tokens; g = side of
the finest grid; truth (B, K, g, g) holds the share of each cell that the class covers.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

SHARPNESS = 10.0  # scores lie in [0, 1]; this makes logits of them
EPSILON = 1e-6
CHECKED = (3, 6, 10)  # numbers of products after which the iterated method is held to the truth


def class_probabilities(maps: Tensor, spans: Tensor) -> Tensor:
    """Token probabilities (B, r r, L), focus tokens (B, K, L) of 0 and 1 -> sums per class (B, K, r r)."""
    return spans @ maps.transpose(1, 2)


def token_loss(probabilities: Tensor, truth: Tensor, present: Tensor) -> Tensor:
    """TokenCompose (arXiv 2312.03626): a class's attention lies on its object, and is 1 there and 0 elsewhere.

    probabilities: (B, K, r r) of one resolution.
    """
    side = round(probabilities.shape[-1] ** 0.5)
    target = F.adaptive_avg_pool2d(truth, side).flatten(2)  # (B, K, r r)
    inside = (probabilities * target).sum(-1) / probabilities.sum(-1).clamp_min(EPSILON)
    ground = (1 - inside).square()
    pixel = F.binary_cross_entropy(probabilities.clamp(EPSILON, 1 - EPSILON), target, reduction="none").mean(-1)
    return masked_mean(ground + pixel, present)


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of `values` where `mask` holds; 0 where it holds nowhere."""
    return (values * mask).sum() / mask.sum().clamp_min(1)


def word_loss(logits: Tensor, truth: Tensor, ids: Tensor) -> Tensor:
    """Cross-entropy of "which of all words is this?" at the cells of objects; every object counts the same.

    Captions alone teach telling words apart slowly: most of their words have no rival of the same scene to lose to.

    logits: (B, heads, r r, W) of one layer, before the softmax. truth (B, K, g, g); ids (B, K) 1..W, 0 = no object.
    """
    side = round(logits.shape[2] ** 0.5)
    share = F.adaptive_avg_pool2d(truth, side).flatten(2)  # (B, K, r r)
    exists = (ids > 0) & (share.sum(-1) > 0)
    weight = share / share.sum(-1, keepdim=True).clamp_min(EPSILON) * exists[..., None]
    index = (ids - 1).clamp_min(0)[:, None, None].expand(-1, *logits.shape[1:3], -1)  # (B, heads, r r, K)
    chosen = logits.log_softmax(-1).gather(-1, index).mean(1)  # (B, r r, K)
    return -(chosen * weight.transpose(1, 2)).sum() / exists.sum().clamp_min(1)


def fuse(probabilities: dict[int, Tensor], weights: dict[int, float], size: int) -> Tensor:
    """Class maps (B, K, g g) of the method: each resolution divided by its spatial sum, bilinear, weighted sum.

    Keys name the layers by their resolution at the model's own size; maps of another size are larger or smaller.
    """
    total = torch.zeros(())
    for resolution, values in probabilities.items():
        share = values / values.sum(-1, keepdim=True).clamp_min(EPSILON)
        side = round(values.shape[-1] ** 0.5)
        grid = share.unflatten(-1, (side, side))
        total = total + weights[resolution] * F.interpolate(grid, size, mode="bilinear", align_corners=False)
    return total.flatten(2)


def label_loss(scores: Tensor, truth: Tensor, present: Tensor) -> Tensor:
    """Cross-entropy of the method's decision: classes scaled to [0, 1] against the power background (1 - max)^2.

    scores: (B, K, Q), any range; truth (B, K, Q), shares. Items without classes do not count.
    """
    low = scores.amin(-1, keepdim=True)
    scaled = (scores - low) / (scores.amax(-1, keepdim=True) - low).clamp_min(1e-9)  # (B, K, Q)
    scaled = scaled * present[..., None]
    background = (1 - scaled.amax(1, keepdim=True)).square()
    absent = torch.cat([torch.zeros_like(present[:, :1]), ~present], dim=1)[..., None]
    logits = (SHARPNESS * torch.cat([background, scaled], dim=1)).masked_fill(absent, -1e4)
    target = torch.cat([(1 - truth.sum(1, keepdim=True)).clamp_min(0), truth], dim=1)
    loss = -(target * logits.log_softmax(1)).sum(1).mean(-1)  # (B,)
    return masked_mean(loss, present.any(1))


def cell_labels(truth: Tensor) -> Tensor:
    """The label of each cell (B, g g): 0 = background, k + 1 = class k, whichever covers most."""
    background = (1 - truth.sum(1, keepdim=True)).clamp_min(0)
    return torch.cat([background, truth], dim=1).argmax(1).flatten(1)


def sample_queries(labels: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Positions (B, count) without repetition from labels (B, g g): about 60 in 100 lie on objects, however small."""
    on_object = (labels > 0).float()
    objects = on_object.sum(1, keepdim=True).clamp_min(1)
    ground = (1 - on_object).sum(1, keepdim=True).clamp_min(1)
    weights = on_object * 0.6 / objects + (1 - on_object) * 0.4 / ground
    return torch.multinomial(weights, count, generator=generator)


def region_loss(rows: Tensor, queries: Tensor, labels: Tensor, truth: Tensor) -> Tensor:
    """KL divergence from "uniform over the query's own region" to its self-attention row.

    rows: (B, Q, g g); labels (B, g g) of `cell_labels`. A region's border cells count by the share it covers.
    """
    background = (1 - truth.sum(1, keepdim=True)).clamp_min(0)
    regions = torch.cat([background, truth], dim=1).flatten(2)  # (B, K + 1, g g)
    own = labels.gather(1, queries)[..., None].expand(-1, -1, regions.shape[-1])  # (B, Q, g g)
    target = regions.gather(1, own)
    target = target / target.sum(-1, keepdim=True).clamp_min(EPSILON)
    return F.kl_div(rows.clamp_min(1e-9).log(), target, reduction="none").sum(-1).mean()


def refined_scores(rows: Tensor, maps: Tensor) -> Tensor:
    """One self-attention product at the sampled rows: rows (B, Q, g g), class maps (B, K, g g) -> (B, K, Q)."""
    shifted = maps - maps.amin(-1, keepdim=True)
    column = shifted / shifted.sum(-1, keepdim=True).clamp_min(EPSILON)
    return column @ rows.transpose(1, 2)


def reduce_entropy(matrix: Tensor, weight: float) -> Tensor:
    """`iseg.refine.reduce_entropy` for a batch (B, g g, g g), with a gradient."""
    relative = matrix / matrix.amax(1, keepdim=True)
    step = (1 + relative.clamp_min(1e-9).log()) * (weight / math.log(10))
    reduced = (relative + step).clamp_min(0)
    return reduced / reduced.sum(-1, keepdim=True).clamp_min(EPSILON)


def iterated_loss(matrix: Tensor, maps: Tensor, truth: Tensor, present: Tensor, weight: float) -> Tensor:
    """Mean `label_loss` of the method after some of `CHECKED` self-attention products, entropy reduced.

    matrix (B, g g, g g), rows = queries; maps, truth (B, K, g g).
    """
    reduced = reduce_entropy(matrix, weight).transpose(1, 2)
    total, column = maps.new_zeros(()), maps
    for iteration in range(1, CHECKED[-1] + 1):
        shifted = column - column.amin(-1, keepdim=True)
        column = (shifted / shifted.sum(-1, keepdim=True).clamp_min(EPSILON)) @ reduced
        if iteration in CHECKED:
            total = total + label_loss(column, truth, present) / len(CHECKED)
    return total
