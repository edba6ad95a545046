"""Recorded attention -> masks, with no further pass: cluster, refine, decide (method steps 2 to 5 and 7)."""

from collections.abc import Sequence
from itertools import chain

import torch
from torch import Tensor

from iseg import cross, marked, masks, refine, seeds
from iseg.finite import to_grids
from iseg.kinds import FirstMaps
from iseg.marks import Marks
from iseg.recipe import Recipe
from iseg.results import Attended, Segmentation
from iseg.upsample import separable_bilateral


def solve(
    attended: Attended, recipe: Recipe, trajectory: bool = False, class_ids: Sequence[int] | None = None
) -> Segmentation:
    """Class maps of a recorded pass -> masks; `class_ids` are the labels of the classes, 1, 2, ... by default."""
    return conclude_classes(refine_classes(attended, recipe), attended, recipe, trajectory, class_ids)


def solve_maps(
    attended: Attended, first: FirstMaps, recipe: Recipe, kind: str, trajectory: bool = False
) -> Segmentation:
    """First maps of one object's seeds, or of several objects -> masks; `kind` names a single object."""
    names = first.names or [kind]
    if first.marks and kind == "points" and recipe.click_decision == "markov":
        result = marked.solve_clicks(attended, first.marks[0], recipe, names, first.columns)
    elif first.marks and kind in ("box", "boxes") and recipe.box_decision != "refine":
        result = marked.solve_boxes(attended, first.marks, recipe, names, first.columns)
    else:
        if first.names is not None:
            steps = refine_columns(attended, first.columns, recipe)
        else:
            steps = refine_seeds(attended, first.columns, recipe, first.negative)
        result = conclude(steps, attended, recipe, names, trajectory, marks=first.marks)
    if first.marks:
        marked.clean(result.mask, first.marks, recipe)
    return result


@torch.inference_mode()
def refine_classes(attended: Attended, recipe: Recipe) -> Tensor:
    """The maps (N + 1, HW, K) of all classes after 0..N iterations, refined by their own pass's attention."""
    steps = refine_columns(attended, class_columns(attended, recipe), recipe)
    return torch.cat([steps, *(refine_classes(part, recipe) for part in attended.further)], 2)


@torch.inference_mode()
def class_columns(attended: Attended, recipe: Recipe) -> Tensor:
    """First maps (HW, K) of the classes of this pass, those of its further passes left out."""
    if attended.token_maps is None:
        raise ValueError("this pass recorded no cross-attention: it must be made with classes")
    dtype = torch.float16 if recipe.cluster_dtype == "float16" else torch.float64
    tokens = attended.token_maps
    if tokens.device.type == "mps":  # has no float64, which the clusters need
        tokens = tokens.cpu()
    return cross.class_maps(tokens, attended.spans, recipe.cluster, recipe.cluster_rounds, recipe.cluster_stride, dtype)


@torch.inference_mode()
def refine_columns(attended: Attended, columns: Tensor, recipe: Recipe) -> Tensor:
    """First maps (HW, K) from anywhere -> the maps (N + 1, HW, K) after 0..N iterations, one product for all."""
    return refine.refine(attended.reduced(recipe), columns, recipe.iterations, trajectory=True)


@torch.inference_mode()
def refine_seeds(attended: Attended, columns: Tensor, recipe: Recipe, negative: Tensor | None = None) -> Tensor:
    """The merged map (N + 1, HW, 1) of one object's seed columns (HW, K) after 0..N iterations.

    The refined and merged `negative` columns (HW, K'), if any, are subtracted, clamped at 0; with `negative_points:
    share` each cell keeps the share m / (m + n) of its value, m and n being the means of the columns, whose sums are 1.
    """
    steps = refine_columns(attended, columns, recipe)
    if negative is None:
        return seeds.merge(steps)
    against = refine_columns(attended, negative, recipe)
    if recipe.negative_points == "subtract":
        return (seeds.merge(steps) - seeds.merge(against)).clamp_min(0)
    return seeds.merge(seeds.shared(steps.mean(-1, keepdim=True), against.mean(-1, keepdim=True)))


def conclude_classes(
    steps: Tensor,
    attended: Attended,
    recipe: Recipe,
    trajectory: bool = False,
    class_ids: Sequence[int] | None = None,
) -> Segmentation:
    """Maps (N + 1, HW, K) of all classes of a pass and its further ones -> `conclude`, with the groups they came in."""
    groups = [part.names for part in (attended, *attended.further)]
    result = conclude(steps, attended, recipe, list(chain(*groups)), trajectory, class_ids)
    result.groups = groups
    return result


@torch.inference_mode()
def conclude(
    steps: Tensor,
    attended: Attended,
    recipe: Recipe,
    names: list[str],
    trajectory: bool = False,
    class_ids: Sequence[int] | None = None,
    marks: Sequence[Marks] | None = None,
    fine: Tensor | None = None,
) -> Segmentation:
    """Maps after 0..N iterations (N + 1, HW, K) -> labels at the image's size, and arrays.

    marks: of each object where they come from points, lines or boxes: the recipe may choose the threshold by the map.
    fine: scores (K, h', w') in [0, 1] to decide on, made of the last maps in another way than the recipe's.
    """
    ids, size = range(1, len(names) + 1) if class_ids is None else class_ids, attended.size
    kept = steps if trajectory else steps[:: max(1, len(steps) - 1)]  # the first and the last
    grids = to_grids(kept)
    is_automatic = bool(marks) and recipe.mark_threshold == "otsu"
    is_cut = fine is None and recipe.outline == "cut"
    if fine is None and len(names) and (recipe.upsample == "bilateral" or is_automatic or is_cut):
        fine = marked.outlined(fine_scores(steps[-1], attended, recipe, is_automatic), attended, marks, recipe)
    if fine is not None:
        scores = (masks.resize(each[None], size)[0] for each in fine)
        labels = masks.label_map(scores, ids, recipe.background, rescale=recipe.working_size is not None and not is_cut)
    else:
        labels = masks.decide(steps[-1], size, ids, recipe.background, recipe.working_size)
    return Segmentation(
        mask=labels.cpu().numpy(),
        names=names,
        seeds=grids[0],
        maps=grids[-1],
        working_size=recipe.working_size,
        trajectory=grids if trajectory else None,
        fine=None if fine is None else fine.cpu().numpy(),
    )


@torch.inference_mode()
def fine_scores(columns: Tensor, attended: Attended, recipe: Recipe, is_automatic: bool = False) -> Tensor:
    """Columns (HW, K) on the grid -> scores (K, h', w') in [0, 1] as they are decided on.

    With `upsample: bilateral` along the picture's edges at the decision's size, else on the grid. is_automatic: the
    recipe's border lies at a threshold of each map's own values.
    """
    side = attended.grid_size
    scores = masks.min_max(columns.T.float().reshape(-1, side, side))
    if recipe.upsample == "bilateral":
        guide = attended.guide(recipe.decision_size)
        scores = masks.min_max(separable_bilateral(scores, guide, recipe.upsample_cells, recipe.upsample_range))
    return marked.automatic(scores, recipe) if is_automatic else scores
