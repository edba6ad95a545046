"""CLIP's maps joined with cross-attention -> masks of the words that an image shows."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from iseg import masks, prompt, seeds, solve
from iseg.clip_maps.edges import along_edges
from iseg.clip_maps.segment import Found, nothing
from iseg.clip_maps.settings import ClipMaps
from iseg.finite import check_finite
from iseg.pipeline import ISeg
from iseg.prompt import ClassWord
from iseg.recipe import Recipe
from iseg.results import Attended, Segmentation
from iseg.state import ImageState


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
    recipe, window = settings.recipe(recipe), settings.upsample == "joint_bilateral"
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
    if window:
        redecide(result, steps[-1][:, kept], attended, settings, recipe, ids)
    if settings.evidence_weight:
        weights = evidence[kept] ** settings.evidence_weight
        result.mask = weighed(result, weights.cpu().numpy(), ids)
    return Found(result, alive, scores)


def redecide(
    result: Segmentation,
    columns: Tensor,
    attended: Attended,
    settings: ClipMaps,
    recipe: Recipe,
    class_ids: Sequence[int],
) -> None:
    """Decide a result again, its columns (HW, K) taken to the picture's size along edges in the settings' way."""
    side = attended.grid_size
    maps = masks.min_max(columns.T.float().reshape(-1, side, side))
    fine = masks.min_max(along_edges(maps, attended.guide(recipe.decision_size), settings, recipe))
    scores = (masks.resize(each[None], attended.size)[0] for each in fine)
    labels = masks.label_map(scores, class_ids, recipe.background, rescale=recipe.working_size is not None)
    result.mask, result.fine = labels.cpu().numpy(), fine.cpu().numpy()


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
