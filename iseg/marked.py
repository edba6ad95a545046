"""Marks -> masks by other decisions than refinement: clicks by Markov maps, boxes whose outside absorbs, clean-up."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from iseg import absorb, masks, pieces
from iseg.finite import check_finite, to_grids
from iseg.markov import Click
from iseg.marks import Marks
from iseg.recipe import Recipe
from iseg.results import Attended, Segmentation
from iseg.upsample import joint_bilateral, upsampling_stride

BORDER = 0.5  # of a score: what is decided


@torch.inference_mode()
def solve_clicks(attended: Attended, marks: Marks, recipe: Recipe, names: list[str], columns: Tensor) -> Segmentation:
    """One object's points and negative points -> its mask by Markov maps; `columns`: their cells (HW, n)."""
    check_finite(attended.attention[:, :1])  # before a chain is made of it
    maps = attended.markov(recipe)
    (height, width), size = maps.size, attended.size
    down, across = height / size[0], width / size[1]
    clicks = [Click(x * across, y * down, inside) for group, inside in ((marks.points, True), (marks.negative, False))
              for x, y in group]  # fmt: skip
    mask, score = maps.decide(clicks)
    result = _concluded(torch.from_numpy(score)[None], attended, names, columns.amax(1, keepdim=True))
    if maps.size == size:
        result.mask = mask.astype(np.uint8)
    return result


@torch.inference_mode()
def solve_boxes(attended: Attended, columns: Tensor, recipe: Recipe, names: list[str]) -> Segmentation:
    """K boxes, as their cells (HW, K), each an object -> masks by what hangs together with a box's outside.

    The share of each cell that does not belong outside is scaled up along the picture's edges, and Otsu's threshold
    within the box becomes the score 0.5.
    """
    side, guide = attended.grid_size, attended.guide(recipe.decision_size)
    outside = (columns <= 0).to(attended.attention.device)
    inner = (1 - absorb.outside_share(attended.attention.float(), outside)).T.reshape(-1, side, side)
    stride = upsampling_stride(guide, side, recipe.upsample_cells)
    fine = joint_bilateral(inner, guide, recipe.upsample_cells, recipe.upsample_range, stride)
    cells = F.interpolate((~outside).T.reshape(1, -1, side, side).float(), fine.shape[1:], mode="nearest")[0] > 0
    scores = torch.stack([_around_threshold(each, within) for each, within in zip(fine, cells, strict=True)])
    return _concluded(scores, attended, names, columns)


def _around_threshold(values: Tensor, within: Tensor) -> Tensor:
    """Values (h, w) -> scores in [0, 1], 0.5 at Otsu's threshold of those `within`; 0 elsewhere."""
    if not bool(within.any()):
        return torch.zeros_like(values)
    threshold = absorb.otsu(values[within])
    peak = float(values[within].amax())
    if not peak > threshold:  # all equal: all of the box
        return within.float()
    above = BORDER + BORDER * (values - threshold) / (peak - threshold)
    below = BORDER * values / threshold if threshold > 0 else torch.zeros_like(values)
    return torch.where(values >= threshold, above, below).clamp_(0, 1) * within


def _concluded(scores: Tensor, attended: Attended, names: list[str], columns: Tensor) -> Segmentation:
    """Scores (K, h', w') at the decision's size -> labels at the image's size."""
    side, size = attended.grid_size, attended.size
    large = (masks.resize(each[None], size)[0] for each in scores)
    labels = masks.label_map(large, range(1, len(names) + 1), BORDER, rescale=False)
    pooled = F.adaptive_avg_pool2d(scores[None], (side, side))[0].flatten(1).T  # (HW, K)
    total = pooled.sum(0)
    steps = torch.stack([columns.to(pooled), pooled / torch.where(total > 0, total, torch.ones_like(total))])
    grids = to_grids(steps)
    return Segmentation(labels.cpu().numpy(), names, grids[0], grids[1], None, fine=scores.cpu().numpy())


def clean(labels: NDArray[np.uint8], marks: Sequence[Marks], recipe: Recipe) -> None:
    """Keep of each object k + 1 in labels (H, W) what the recipe's `clip_box` and `pieces` leave of it, in place."""
    if recipe.pieces == "all" and not recipe.clip_box:
        return
    for k, own in enumerate(marks, 1):
        before: pieces.Region = (labels == k).astype(np.uint8)
        region = before * pieces.inside_boxes(labels.shape, own.boxes) if recipe.clip_box and own.boxes else before
        if recipe.pieces != "all":
            points = own.through if recipe.pieces == "clicked" else []
            region = pieces.keep_pieces(np.ascontiguousarray(region), points, largest=True)
        labels[(before > 0) & (region == 0)] = 0
