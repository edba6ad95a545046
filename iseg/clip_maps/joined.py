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
from iseg.views import View, on_grid, read_views, unmirrored


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
    shown = [known[index] for index in asked]

    def attempt() -> Found:
        attended, steps = averaged_steps(seg, state, shown, coarse, asked, settings, recipe)
        return decide_joined(attended, steps, coarse, asked, settings, recipe, class_ids)

    return seg.finite(state, attempt)


def averaged_steps(
    seg: ISeg,
    state: ImageState,
    words: Sequence[ClassWord],
    coarse: Tensor,
    asked: Sequence[int],
    settings: ClipMaps,
    recipe: Recipe,
) -> tuple[Attended, Tensor]:
    """The largest view's pass, and on its grid the mean of the refined maps (N + 1, HW, K) of the settings' views.

    Raises InputError for views that the model cannot have.
    """
    views = read_views(settings.views, seg.backbone.row)
    kept, total = None, None
    for view in views:
        attended = look(seg, state, words, recipe, view)
        kept = kept or attended
        lying = coarse.flip(2) if view.mirrored else coarse
        own = seg.backbone.row.recipe_at(recipe, view.size)
        steps = joined_steps(attended, lying, asked, settings, own)
        steps = on_grid(unmirrored(steps) if view.mirrored else steps, kept.grid_size)
        total = steps if total is None else total + steps
    assert kept is not None
    assert total is not None
    return kept, total / len(views)


def look(seg: ISeg, state: ImageState, words: Sequence[ClassWord], recipe: Recipe, view: View) -> Attended:
    """The pass of one view of an image for some classes; the plain view's is taken from what the image keeps."""
    if view == View(seg.backbone.row.image_size):
        return seg.attend_image(state, recipe, words)
    return seg.look([state.pixels], [words], view, recipe)[0]


def candidates(coarse: Tensor, settings: ClipMaps) -> list[int]:
    """Indices of the classes whose coarse map (F, h, w) reaches what the cross-attention is asked for."""
    return (coarse.flatten(1).amax(1) > settings.candidate).nonzero().flatten().tolist()


def joined_steps(
    attended: Attended, coarse: Tensor, asked: Sequence[int], settings: ClipMaps, recipe: Recipe
) -> Tensor:
    """Joined maps (N + 1, HW, K) after 0..N iterations, of a pass of the classes `asked` for of F coarse maps."""
    recipe = settings.recipe(recipe)
    parts = [attended, *attended.further]
    columns = torch.cat([solve.class_columns(part, recipe) for part in parts], 1)
    own = seeds.from_maps(coarse[list(asked)], attended.grid_size).to(columns)
    return solve.refine_columns(attended, join(columns, own, settings), recipe)


def decide_joined(
    attended: Attended,
    steps: Tensor,
    coarse: Tensor,
    asked: Sequence[int],
    settings: ClipMaps,
    recipe: Recipe,
    class_ids: Sequence[int] | None = None,
) -> Found:
    """The part of `find_joined` after the refinement: `steps` (N + 1, HW, K) of the classes `asked` for of F."""
    recipe, window = settings.recipe(recipe), settings.upsample == "joint_bilateral"
    check_finite(steps)
    own = seeds.from_maps(coarse[list(asked)], attended.grid_size).to(steps)
    evidence = agreement(steps[-1], own)
    scores = [0.0] * len(coarse)
    for index, value in zip(asked, evidence.tolist(), strict=True):
        scores[index] = value
    kept = (evidence > settings.agreement_threshold).nonzero().flatten().tolist()
    alive = [asked[position] for position in kept]
    if not alive:
        return Found(nothing(attended.size), [], scores)
    names = [name for part in (attended, *attended.further) for name in part.names]
    ids = list(range(1, len(alive) + 1)) if class_ids is None else [class_ids[index] for index in alive]
    chosen = [names[position] for position in kept]
    fine = window_scores(steps[-1][:, kept], attended, settings, recipe) if window else None
    result = solve.conclude(steps[:, :, kept], attended, recipe, chosen, class_ids=ids, fine=fine)
    if settings.evidence_weight:
        weights = evidence[kept] ** settings.evidence_weight
        result.mask = weighed(result, weights.cpu().numpy(), ids)
    return Found(result, alive, scores)


def window_scores(columns: Tensor, attended: Attended, settings: ClipMaps, recipe: Recipe) -> Tensor:
    """Columns (HW, K) -> scores (K, h', w') in [0, 1] along the picture's edges in the settings' way."""
    side = attended.grid_size
    maps = masks.min_max(columns.T.float().reshape(-1, side, side))
    return masks.min_max(along_edges(maps, attended.guide(recipe.decision_size), settings, recipe))


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
