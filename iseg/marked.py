"""Marks -> masks by other decisions than refinement: clicks by Markov maps, boxes whose outside absorbs, clean-up."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from iseg import absorb, masks, pieces, seeds
from iseg.cutout import DEFAULTS, FOR_BOX, FOR_MARKOV, cut_score
from iseg.finite import check_finite, to_grids
from iseg.markov import Click
from iseg.marks import Box, Marks
from iseg.recipe import Recipe
from iseg.results import Attended, Segmentation
from iseg.tight import fitting_map
from iseg.upsample import separable_bilateral

MARKOV_BORDER = 0.5  # of the scores of Markov maps
LEAST_BORDER = 1e-3
# what maps in a box count beside the share that does not belong outside: of clicks, and of places whose maps fill it
CLICKED, FITTING = 1.0, 3.0


@torch.inference_mode()
def solve_clicks(attended: Attended, marks: Marks, recipe: Recipe, names: list[str], columns: Tensor) -> Segmentation:
    """One object's points and negative points -> its mask by Markov maps; `columns`: their cells (HW, n)."""
    scores = outlined(click_score(attended, marks, recipe)[None], attended, [marks], recipe)
    return _concluded(scores, attended, recipe, names, columns.amax(1, keepdim=True))


@torch.inference_mode()
def click_score(attended: Attended, marks: Marks, recipe: Recipe) -> Tensor:
    """Points and negative points -> the score (h', w') of Markov maps, the recipe's border at their own."""
    check_finite(attended.attention[:, :1])  # before a chain is made of it
    maps = attended.markov(recipe)
    (height, width), size = maps.size, attended.size
    down, across = height / size[0], width / size[1]
    clicks = [Click(x * across, y * down, inside) for group, inside in ((marks.points, True), (marks.negative, False))
              for x, y in group]  # fmt: skip
    mask, score = maps.decide(clicks)
    border = border_of(recipe)
    moved = np.interp(score, (0, MARKOV_BORDER, 1), (0, border, 1)).astype(np.float32)
    under = np.nextafter(np.float32(border), np.float32(0))
    return torch.from_numpy(np.where(mask, np.maximum(moved, np.float32(border)), np.minimum(moved, under)))


@torch.inference_mode()
def solve_boxes(
    attended: Attended, marks: Sequence[Marks], recipe: Recipe, names: list[str], columns: Tensor
) -> Segmentation:
    """K objects with a box each -> masks by what hangs together with a box's outside; `columns`: seeds (HW, K)."""
    scores = torch.stack([box_score(attended, each.boxes, recipe) for each in marks])
    scores = outlined(scores, attended, marks, recipe)
    return _concluded(scores, attended, recipe, names, columns)


@torch.inference_mode()
def box_score(
    attended: Attended,
    boxes: Sequence[Box],
    recipe: Recipe,
    against: Tensor | None = None,
    clicked: Tensor | None = None,
) -> Tensor:
    """One object in a box -> its score (h', w'), the recipe's border where it is decided.

    The share of each cell that does not belong outside is scaled up along the picture's edges; the threshold is
    Otsu's of the values in the box, a little lower where it holds clicks or, for `box_decision: tight`, places whose
    own maps fill it; these then count three times as much as the share.

    Args:
        boxes: (x0, y0, x1, y1) in pixels, one or several around one object.
        against: (HW,) bool, cells of negative points, from which what is like them is taken away.
        clicked: (HW,) in [0, 1], the refined map of points or lines in the box, which then counts as much as the share
            does; with places that fill the box it is averaged with theirs.
    """
    side, guide = attended.grid_size, attended.guide(recipe.decision_size)
    cells = seeds.touched(boxes, attended.size, side).to(attended.attention.device)
    check_finite(attended.attention[:, :1])  # a threshold of what is not finite would look like a mask
    matrix = attended.attention.float()
    inner = 1 - absorb.outside_share(matrix, ~cells[:, None])[:, 0]
    if against is not None:
        inner = absorb.unlike(matrix, inner, against.to(cells.device))
    weight, taken = CLICKED, [] if clicked is None else [clicked.to(inner)]
    if recipe.box_decision == "tight":
        fitting = fitting_map(attended.reduced(recipe), cells, _bounds(boxes, attended), recipe.iterations)
        if fitting is not None:
            weight, taken = FITTING, [*taken, fitting.to(inner)]
    maps = torch.stack([inner, *([torch.stack(taken).mean(0)] if taken else [])])
    fine = separable_bilateral(maps.reshape(-1, side, side), guide, recipe.upsample_cells, recipe.upsample_range)
    fine = (fine[0] + weight * fine[1]) / (1 + weight) if taken else fine[0]
    within = F.interpolate(cells.reshape(1, 1, side, side).float(), fine.shape, mode="nearest")[0, 0] > 0
    lower = absorb.LOWER_CLICKED if taken else 1.0
    return absorb.around_threshold(fine, within, lower, border_of(recipe))


def _bounds(boxes: Sequence[Box], attended: Attended) -> Box:
    """The bounding box of boxes in pixels, in cells of the grid."""
    across, down = attended.grid_size / attended.size[1], attended.grid_size / attended.size[0]
    x, y = np.array(boxes, np.float64).reshape(-1, 2).T
    return float(x.min() * across), float(y.min() * down), float(x.max() * across), float(y.max() * down)


@torch.inference_mode()
def marks_score(attended: Attended, marks: Marks, recipe: Recipe, refined: Tensor | None) -> Tensor | None:
    """Marks of one object by the recipe's decisions -> its score (h', w'); None where marks are refined.

    Args:
        refined: (HW,) the refined map of its points and lines, None without any; looked at where it has boxes, too.
    """
    if marks.boxes:
        if recipe.box_decision == "refine":
            return None
        seeds.boxes(marks.boxes, attended.size, attended.grid_size)  # a box that cannot be used is named
        against = None
        if marks.negative:
            against = seeds.points(marks.negative, attended.size, attended.grid_size).amax(1) > 0
        clicked = None if refined is None else masks.min_max(refined[None, None].float())[0, 0]
        return outlined(box_score(attended, marks.boxes, recipe, against, clicked)[None], attended, [marks], recipe)[0]
    if _by_markov(marks, recipe):
        return outlined(click_score(attended, marks, recipe)[None], attended, [marks], recipe)[0]
    return None


@torch.inference_mode()
def outlined(scores: Tensor, attended: Attended, marks: Sequence[Marks] | None, recipe: Recipe) -> Tensor:
    """Scores (K, h, w) of K objects as they were decided -> (K, h', w') with the border of the recipe's outline.

    Args:
        scores: on the whole picture, the recipe's border at `border_of`; they come back as they are for `outline: map`.
        marks: of each object, in pixels of the image; None where there are none, as of words.
    """
    if recipe.outline == "map" or not len(scores):
        return scores
    border = border_of(recipe)
    guide = attended.guide(recipe.outline_size)
    picture = np.ascontiguousarray((guide * 255).round().byte().permute(1, 2, 0).cpu().numpy())
    across, down = picture.shape[1] / attended.size[1], picture.shape[0] / attended.size[0]
    cut = []
    for score, own in zip(scores.cpu().numpy(), marks or [Marks()] * len(scores), strict=True):
        centred = np.interp(score, (0, border, 1), (0, 0.5, 1)).astype(np.float32)
        settings = FOR_MARKOV if _by_markov(own, recipe) else FOR_BOX if own.boxes else DEFAULTS
        fine = cut_score(picture, centred, own.scaled(across, down), settings)
        cut.append(np.interp(fine, (0, 0.5, 1), (0, border, 1)).astype(np.float32))
    return torch.from_numpy(np.stack(cut)).to(scores.device)


def _by_markov(marks: Marks, recipe: Recipe) -> bool:
    return bool(marks.points) and not marks.lines and not marks.boxes and recipe.click_decision == "markov"


def automatic(scores: Tensor, recipe: Recipe) -> Tensor:
    """Scores (K, h, w) of maps in [0, 1] -> the same with the recipe's border at a threshold of their own values."""
    every = torch.ones_like(scores[0], dtype=torch.bool)
    return torch.stack([absorb.around_threshold(one, every, absorb.LOWER, border_of(recipe)) for one in scores])


def border_of(recipe: Recipe) -> float:
    """Where scores of marks are decided: the recipe's background, kept off 0 and 1."""
    return min(1 - LEAST_BORDER, max(LEAST_BORDER, masks.border_of(recipe.background)))


def _concluded(scores: Tensor, attended: Attended, recipe: Recipe, names: list[str], columns: Tensor) -> Segmentation:
    """Scores (K, h', w') at the decision's size -> labels at the image's size."""
    side, size = attended.grid_size, attended.size
    large = (masks.resize(each[None], size)[0] for each in scores)
    labels = masks.label_map(large, range(1, len(names) + 1), border_of(recipe), rescale=False)
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
        if recipe.pieces == "largest" or (recipe.pieces == "clicked" and own.through):
            points = own.through if recipe.pieces == "clicked" else []
            region = pieces.keep_pieces(np.ascontiguousarray(region), points, largest=True)
        labels[(before > 0) & (region == 0)] = 0
