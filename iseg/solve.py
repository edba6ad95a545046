"""Recorded attention -> masks, with no further pass: cluster, refine, decide (method steps 2 to 5 and 7)."""

from itertools import chain

import torch
from torch import Tensor

from iseg import cross, masks, refine, seeds
from iseg.config import Recipe
from iseg.results import Attended, Segmentation


def solve(attended: Attended, recipe: Recipe, trajectory: bool = False) -> Segmentation:
    """Class maps of a recorded pass -> masks."""
    groups = [part.names for part in (attended, *attended.further)]
    result = _decide(attended, refine_classes(attended, recipe), recipe, list(chain(*groups)), trajectory)
    result.groups = groups
    return result


def solve_seeds(
    attended: Attended,
    columns: Tensor,
    recipe: Recipe,
    name: str,
    trajectory: bool = False,
    negative: Tensor | None = None,
) -> Segmentation:
    """Seed columns (HW, K) of one object -> its mask; see `refine_seeds`."""
    steps = refine_seeds(attended, columns, recipe, negative)
    return _decide(attended, steps, recipe, [name], trajectory)


@torch.inference_mode()
def refine_classes(attended: Attended, recipe: Recipe) -> Tensor:
    """The maps (N + 1, HW, K) of all classes after 0..N iterations, refined by their own pass's attention."""
    if attended.token_maps is None:
        raise ValueError("this pass recorded no cross-attention: it must be made with classes")
    dtype = torch.float16 if recipe.cluster_dtype == "float16" else torch.float64
    tokens = attended.token_maps
    if tokens.device.type == "mps":  # has no float64, which the clusters need
        tokens = tokens.cpu()
    columns = cross.class_maps(
        tokens, attended.spans, recipe.cluster, recipe.cluster_rounds, recipe.cluster_stride, dtype
    )
    steps = refine.refine(attended.reduced(recipe), columns, recipe.iterations, trajectory=True)
    return torch.cat([steps, *(refine_classes(part, recipe) for part in attended.further)], 2)


@torch.inference_mode()
def refine_seeds(attended: Attended, columns: Tensor, recipe: Recipe, negative: Tensor | None = None) -> Tensor:
    """The merged map (N + 1, HW, 1) of one object's seed columns (HW, K) after 0..N iterations.

    The refined and merged `negative` columns (HW, K'), if any, are subtracted, clamped at 0.
    """
    matrix = attended.reduced(recipe)
    steps = seeds.merge(refine.refine(matrix, columns, recipe.iterations, trajectory=True))
    if negative is None:
        return steps
    against = seeds.merge(refine.refine(matrix, negative, recipe.iterations, trajectory=True))
    return (steps - against).clamp_min(0)


@torch.inference_mode()
def _decide(attended: Attended, steps: Tensor, recipe: Recipe, names: list[str], trajectory: bool) -> Segmentation:
    """Maps after 0..N iterations (N + 1, HW, K) -> scores, labels and arrays."""
    scores = masks.score_maps(steps[-1], attended.size, recipe.working_size)
    labels = masks.label_map(
        scores, range(1, len(names) + 1), recipe.background, rescale=recipe.working_size is not None
    )
    kept = steps if trajectory else steps[:: max(1, len(steps) - 1)]  # the first and the last
    grids = kept.transpose(1, 2).unflatten(2, (attended.grid_size, attended.grid_size)).float().cpu().numpy()
    return Segmentation(
        mask=labels.to(torch.uint8).cpu().numpy(),
        scores=scores.cpu().numpy(),
        names=names,
        seeds=grids[0],
        maps=grids[-1],
        trajectory=grids if trajectory else None,
    )
