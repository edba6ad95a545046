"""CLIP's maps, alone or joined with cross-attention -> masks of the words that an image shows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from iseg import masks, prompt, refine, seeds, solve
from iseg.clip_maps import decision, product
from iseg.clip_maps.settings import ClipMaps
from iseg.finite import check_finite, to_grids
from iseg.pipeline import ISeg
from iseg.prompt import ClassWord
from iseg.recipe import Recipe
from iseg.results import Attended, Segmentation
from iseg.state import ImageState
from iseg.upsample import joint_bilateral, small_picture, upsampling_stride


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
    shown = along_edges(refined[alive], state, settings.recipe(recipe)) if alive else refined[alive]
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


def along_edges(maps: Tensor, state: ImageState, recipe: Recipe) -> Tensor:
    """Maps (K, h, w) -> (K, h', w') along the picture's edges, if the recipe upsamples so; their scale stays."""
    if recipe.upsample != "bilateral":
        return maps
    picture = torch.tensor(state.pixels).permute(2, 0, 1).to(maps.device).float() / 255
    guide = small_picture(picture, recipe.decision_size).contiguous()
    stride = upsampling_stride(guide, max(maps.shape[1:]), recipe.upsample_cells)
    return joint_bilateral(maps, guide, recipe.upsample_cells, recipe.upsample_range, stride)


@torch.inference_mode()
def find_joined(
    seg: ISeg,
    state: ImageState,
    coarse: Tensor,
    words: Sequence[str | ClassWord],
    settings: ClipMaps,
    recipe: Recipe,
    class_ids: Sequence[int] | None = None,
) -> Found:
    """Masks by cross-attention and coarse maps (F, h, w) together, refined and decided as the recipe says.

    Classes whose coarse map reaches `settings.candidate` share the cross-attention's prompt. A class is alive if CLIP's
    map is high where its refined map is: what the cross-attention puts elsewhere was not there.

    Raises InputError for a word that the model does not know.
    """
    asked, known = candidates(coarse, settings), prompt.class_words(words)
    if not asked:
        return Found(nothing(state.size), [], [0.0] * len(words))

    def attempt() -> Found:
        attended = seg.attend_image(state, recipe, [known[index] for index in asked])
        return decide_joined(attended, coarse, asked, settings, recipe, class_ids)

    return seg.finite(state, attempt)


def candidates(coarse: Tensor, settings: ClipMaps) -> list[int]:
    """Indices of the classes whose coarse map (F, h, w) reaches what the cross-attention is asked for."""
    return (coarse.flatten(1).amax(1) > settings.candidate).nonzero().flatten().tolist()


def decide_joined(
    attended: Attended,
    coarse: Tensor,
    asked: Sequence[int],
    settings: ClipMaps,
    recipe: Recipe,
    class_ids: Sequence[int] | None = None,
) -> Found:
    """The part of `find_joined` after the pass of the classes `asked` for (indices into the F coarse maps)."""
    recipe = settings.recipe(recipe)
    parts = [attended, *attended.further]
    columns = torch.cat([solve.class_columns(part, recipe) for part in parts], 1)
    own = seeds.from_maps(coarse[list(asked)], attended.grid_size).to(columns)
    steps = solve.refine_columns(attended, join(columns, own, settings), recipe)
    check_finite(steps)
    evidence = agreement(steps[-1], own.to(steps))
    scores = [0.0] * len(coarse)
    for index, value in zip(asked, evidence.tolist(), strict=True):
        scores[index] = value
    kept = (evidence > settings.agreement_threshold).nonzero().flatten().tolist()
    alive = [asked[position] for position in kept]
    if not alive:
        return Found(nothing(attended.size), [], scores)
    names = [name for part in parts for name in part.names]
    ids = list(range(1, len(alive) + 1)) if class_ids is None else [class_ids[index] for index in alive]
    chosen = [names[position] for position in kept]
    result = solve.conclude(steps[:, :, kept], attended, recipe, chosen, class_ids=ids)
    if settings.evidence_weight:
        weights = evidence[kept] ** settings.evidence_weight
        result.mask = weighed(result, weights.cpu().numpy(), ids)
    return Found(result, alive, scores)


def weighed(result: Segmentation, weights: NDArray[np.float32], class_ids: Sequence[int]) -> NDArray[np.uint8]:
    """The labels (H, W) of a result's foreground decided again, each class's scores times its weight (K,)."""
    best = np.full(result.mask.shape, -1, np.float32)
    labels = np.zeros_like(result.mask)
    for index, weight, score in zip(class_ids, weights, result.each_score(), strict=True):
        above = score * weight > best
        best[above], labels[above] = (score * weight)[above], index
    return np.where(result.mask > 0, labels, result.mask)


def join(cross_maps: Tensor, clip_maps: Tensor, settings: ClipMaps) -> Tensor:
    """Cross-attention columns (HW, K), brought to [0, 1], and CLIP's (HW, K) -> first maps (HW, K)."""
    weight, unit = settings.cross_weight, masks.min_max(cross_maps, (0,))
    if settings.join == "plus":
        return weight * unit + (1 - weight) * clip_maps
    return unit**weight * clip_maps ** (1 - weight)


def agreement(refined: Tensor, clip_maps: Tensor) -> Tensor:
    """(K,) mean of CLIP's columns (HW, K) where the refined ones (HW, K) reach half their range; 0 for constant."""
    inside = masks.min_max(refined, (0,)) >= 0.5
    return (clip_maps * inside).sum(0) / inside.sum(0).clamp_min(1)


def columns_of(maps: Tensor) -> Tensor:
    """(F, g, g) -> columns (HW, F)."""
    return maps.flatten(1).T.contiguous()


def nothing(size: tuple[int, int]) -> Segmentation:
    """The result of an image that shows no class."""
    empty = torch.zeros(0, 1, 1).numpy()
    return Segmentation(torch.zeros(size, dtype=torch.uint8).numpy(), [], empty, empty)
