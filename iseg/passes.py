"""One recorded UNet pass per prompt: images and class words -> `Attended` (method steps 1 and 2.1)."""

from collections.abc import Sequence
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from iseg import cross, prompt
from iseg.attention import AttentionRecord, Layers
from iseg.backbone import Components
from iseg.config import Recipe
from iseg.images import to_square
from iseg.prompt import ClassWord
from iseg.results import Attended

EMPTY = " "  # the prompt whose self-attention all seeds share


def square(parts: Components, image: NDArray[np.uint8], recipe: Recipe) -> Tensor:
    """One image (H, W, 3) uint8 -> the square (3, S, S) float32 in [0, 1] that the encoder takes; on the CPU."""
    return to_square(image, parts.backbone.image_size, recipe.resize)


@torch.inference_mode()
def encode(parts: Components, squares: Sequence[Tensor]) -> Tensor:
    """B squares (3, S, S) of `square` -> latents (B, C, h, w)."""
    return parts.encode(torch.stack(list(squares)))


def attend(
    parts: Components,
    latents: Tensor,
    words: Sequence[list[ClassWord]],
    sizes: Sequence[tuple[int, ...]],
    recipe: Recipe,
) -> list[Attended]:
    """One pass per image, or several where its classes do not fit into one prompt, all in one batch.

    Args:
        latents: (B, C, h, w) of `encode`.
        words: the classes of each image; none for the empty prompt.
        sizes: (H, W) of each image in pixels.
    """
    groups = [prompt.split(parts.tokenizer, recipe.prompt, each, recipe.context) or [[]] for each in words]
    owners = [b for b, pieces in enumerate(groups) for _ in pieces]
    rows = latents.index_select(0, torch.tensor(owners, device=latents.device))
    passes = _record(parts, rows, list(chain(*groups)), [sizes[b] for b in owners], recipe)
    firsts = [owners.index(b) for b in range(len(words))]
    for first, pieces in zip(firsts, groups, strict=True):
        passes[first].further = passes[first + 1 : first + len(pieces)]
    return [passes[first] for first in firsts]


@torch.inference_mode()
def _record(
    parts: Components,
    latents: Tensor,
    words: Sequence[list[ClassWord]],
    sizes: Sequence[tuple[int, ...]],
    recipe: Recipe,
) -> list[Attended]:
    layers = parts.backbone.layers(recipe)
    if not any(words):  # the empty prompt is asked for its self-attention only
        layers = Layers({}, layers.self)
    embedded = [_embed(parts, each, recipe) for each in words]
    embeddings = torch.stack([embedding for embedding, _ in embedded])
    with AttentionRecord(parts.unet, layers) as record:
        record.run(parts.add_noise(latents), parts.backbone.timestep, embeddings)
    cross_maps, self_maps = record.cross, record.self
    attended = []
    for b, (each, (_, spans)) in enumerate(zip(words, embedded, strict=True)):
        assert self_maps is not None  # every recipe records some self-attention
        attention = self_maps[b]
        side = round(attention.shape[0] ** 0.5)
        one = {r: maps[b : b + 1] for r, maps in cross_maps.items()}  # the mean head of each resolution
        token_maps = cross.fuse(one, recipe.cross_weights, size=side) if one else None
        names = [word.word for word in each]
        attended.append(Attended(token_maps, attention, spans, names, (sizes[b][0], sizes[b][1])))
    return attended


def _embed(parts: Components, words: list[ClassWord], recipe: Recipe) -> tuple[Tensor, list[list[int]]]:
    """Enhanced embeddings (L, D) of the prompt for some classes, and the token span of each."""
    parts.backbone.check_words(word.word for word in words)
    text = prompt.build(recipe.prompt, words, recipe.context) if words else prompt.Prompt(EMPTY, ())
    ids, spans = prompt.tokenize(parts.tokenizer, text, words)
    return prompt.enhance(parts.embed(ids), spans, recipe.enhancement), spans
