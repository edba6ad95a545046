"""CLIP's maps -> masks of the words that an image shows."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from iseg import masks, refine, seeds, solve
from iseg.clip_maps import decision, product
from iseg.clip_maps.edges import along_edges, guide_of
from iseg.clip_maps.settings import ClipMaps
from iseg.finite import check_finite, to_grids
from iseg.pipeline import ISeg
from iseg.recipe import Recipe
from iseg.results import Segmentation
from iseg.state import ImageState


@dataclass(frozen=True)
class Found:
    """Which of F classes an image shows, and their masks.

    Attributes:
        result: of the living classes; label `class_ids[c]` (k + 1 by default) of its mask is the k-th of them.
        alive: their indices, ascending; may be empty.
        scores: one per class, 0 for those that were not looked at; a class is alive above the settings' threshold.
    """

    result: Segmentation
    alive: list[int]
    scores: list[float]


@torch.inference_mode()
def find_by_clip(
    seg: ISeg,
    state: ImageState,
    coarse: Tensor,
    names: Sequence[str],
    settings: ClipMaps,
    recipe: Recipe,
    class_ids: Sequence[int] | None = None,
) -> Found:
    """Masks of coarse maps (F, h, w) by the settings' refinement and CLIPer's decision.

    class_ids: labels of the F classes; by default the living ones are 1, 2, ...

    Raises NotFinite for a model whose attention is not finite in float32 either.
    """
    peaks = coarse.flatten(1).amax(1)
    refined = seg.finite(state, lambda: refined_maps(seg, state, coarse, settings, recipe)).to(peaks.device)
    scores = decision.class_scores(refined, peaks)
    alive = decision.alive(scores, settings)
    ids = range(1, len(alive) + 1) if class_ids is None else [class_ids[index] for index in alive]
    shown = refined[alive]
    if alive and settings.way_up(recipe) != "bilinear":
        shown = along_edges(shown, guide_of(state, recipe).to(shown.device), settings, recipe)
    labels = decision.decide(shown, scores[alive], state.size, settings, ids)
    side = max(refined.shape[1:])  # maps that were not refined have the shape of the image
    steps = [
        columns_of(masks.resize(coarse, (side, side))[alive]),
        columns_of(masks.resize(refined, (side, side))[alive]),
    ]
    grids = to_grids(
        torch.stack([refine.normalize_columns(each) for each in steps]) if alive else torch.zeros(2, side**2, 0)
    )
    words = [names[index] for index in alive]
    result = Segmentation(labels.cpu().numpy(), words, grids[0], grids[-1], recipe.working_size, groups=[words])
    return Found(result, alive, scores.tolist())


def refined_maps(seg: ISeg, state: ImageState, coarse: Tensor, settings: ClipMaps, recipe: Recipe) -> Tensor:
    """Coarse maps (F, h, w) -> refined maps (F, g, g) by the settings' self-attention; without any, as they are.

    The recipe's refinement loses the scale of a map: its maximum becomes the coarse map's again.
    """
    if settings.refine == "none":
        return coarse
    if settings.refine == "heads":
        heads = seg.heads(state, settings.timestep)
        grid = round(len(heads[0].query) ** 0.5)
        columns = columns_of(masks.resize(coarse, (grid, grid))).to(heads[0].query)
        refined = product.apply_heads((head.matrix() for head in reversed(heads)), columns, settings.threshold)
        check_finite(refined)
    else:
        attended = seg.attend_image(state, recipe)
        grid = attended.grid_size
        refined = solve.refine_columns(attended, seeds.from_maps(coarse, grid), settings.recipe(recipe))[-1]
        check_finite(refined)
        refined = masks.min_max(refined, (0,)) * coarse.flatten(1).amax(1).to(refined)
    return refined.T.unflatten(1, (grid, grid)).contiguous()


def columns_of(maps: Tensor) -> Tensor:
    """(F, g, g) -> columns (HW, F)."""
    return maps.flatten(1).T.contiguous()


def nothing(size: tuple[int, int]) -> Segmentation:
    """The result of an image that shows no class."""
    empty = torch.zeros(0, 1, 1).numpy()
    return Segmentation(torch.zeros(size, dtype=torch.uint8).numpy(), [], empty, empty)
