"""One recorded pass per prompt: encoded images and class words -> `Attended` (method steps 1 and 2.1)."""

from collections.abc import Sequence
from itertools import chain

import torch
from torch import Tensor

from iseg import cross, prompt
from iseg.attention import Layers
from iseg.backbones.seam import Backbone
from iseg.prompt import ClassWord, Prompt
from iseg.recipe import Recipe
from iseg.regions import aggregate
from iseg.results import Attended


def attend(
    backbone: Backbone,
    latents: Tensor,
    words: Sequence[Sequence[ClassWord]],
    sizes: Sequence[tuple[int, ...]],
    recipe: Recipe,
) -> list[Attended]:
    """One pass per image, or several where its classes do not fit into one prompt, all in one batch.

    Args:
        latents: (B, C, h, w) of `Backbone.encode`.
        words: the classes of each image; none for the empty prompt.
        sizes: (H, W) of each image in pixels.
    """
    prompts = [
        prompt.split(backbone.tokenizer, recipe.prompt, each, recipe.context, recipe.enhancement) for each in words
    ]
    owners = [b for b, own in enumerate(prompts) for _ in own]
    rows = latents.index_select(0, torch.tensor(owners, device=latents.device))
    passes = _record(backbone, rows, list(chain(*prompts)), [sizes[b] for b in owners], recipe)
    firsts = [owners.index(b) for b in range(len(words))]
    for first, own in zip(firsts, prompts, strict=True):
        passes[first].further = passes[first + 1 : first + len(own)]
    return [passes[first] for first in firsts]


@torch.inference_mode()
def attend_every_layer(backbone: Backbone, latents: Tensor, size: tuple[int, int], recipe: Recipe) -> Attended:
    """The empty prompt's pass of an encoded image (1, C, h, w): the self-attention of all layers, aggregated."""
    condition = backbone.condition(prompt.split(backbone.tokenizer, recipe.prompt, ()))
    record = backbone.record(backbone.noised(latents), condition, Layers(every_self=True))
    attention = aggregate({resolution: maps[0] for resolution, maps in record.every_self.items()})
    return Attended(None, attention, [], [], size)


@torch.inference_mode()
def _record(
    backbone: Backbone, latents: Tensor, prompts: Sequence[Prompt], sizes: Sequence[tuple[int, ...]], recipe: Recipe
) -> list[Attended]:
    layers = backbone.row.layers(recipe)
    if not any(each.words for each in prompts):  # the empty prompt is asked for its self-attention only
        layers = Layers({}, layers.self_attention)
    condition = backbone.condition(prompts)
    record = backbone.record(backbone.noised(latents), condition, layers)
    attended = []
    for b, each in enumerate(prompts):
        assert record.self_attention is not None  # every recipe records some self-attention
        attention = record.self_attention[b]
        side = round(attention.shape[0] ** 0.5)
        # the mean head of each resolution
        one = {resolution: maps[b : b + 1] for resolution, maps in record.cross_attention.items()}
        token_maps = cross.fuse(one, recipe.cross_weights, size=side) if one else None
        names = [word.word for word in each.words]
        attended.append(Attended(token_maps, attention, condition.spans[b], names, (sizes[b][0], sizes[b][1])))
    return attended
