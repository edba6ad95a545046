"""CLIP's image side as TagCLIP reads it: token features, and the attention of every block.

TagCLIP (arXiv 2312.12828) keeps tokens apart in the last block, so that each one still speaks of its own place.
"""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

if TYPE_CHECKING:
    from transformers import CLIPModel

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)  # of the pictures CLIP was trained on, RGB
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
STRIP_BYTES = 64 << 20  # of the attention of some queries over all heads: more is never held at once


def to_pixels(image: Image.Image, patch: int, shortest_side: int | None = None) -> Tensor:
    """An RGB image as CLIP's normalised pixels (3, H, W) float32, sides rounded up to multiples of the patch (bicubic).

    `shortest_side` scales the image first, keeping its shape; None keeps its size.
    """
    scale = 1.0 if shortest_side is None else shortest_side / min(image.size)
    width, height = (math.ceil(max(1, round(side * scale)) / patch) * patch for side in image.size)
    return normalized(image.convert("RGB").resize((width, height), Image.Resampling.BICUBIC))


def normalized(image: Image.Image) -> Tensor:
    """An RGB image -> pixels (3, H, W) float32 with CLIP's mean and spread."""
    pixels = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).reshape(image.height, image.width, 3)
    mean, std = torch.tensor(CLIP_MEAN)[:, None, None], torch.tensor(CLIP_STD)[:, None, None]
    return (pixels.permute(2, 0, 1).float() / 255 - mean) / std


def embed(model: "CLIPModel", pixels: Tensor, round_positions: bool = False) -> tuple[Tensor, tuple[int, int]]:
    """Patch and position embeddings after the first layer norm.

    Position embeddings are resized bilinearly to the image's grid. `round_positions` rounds them to float16 as the
    published runs did, whatever the model's dtype.

    Args:
        pixels: (B, 3, H, W), sides multiples of the patch.

    Returns:
        (B, 1 + N, C) in the model's dtype, and the grid (rows, columns).
    """
    vision = model.vision_model
    embeddings = vision.embeddings
    patches = embeddings.patch_embedding(pixels.to(embeddings.patch_embedding.weight.dtype))  # (B, C, h, w)
    grid = (patches.shape[-2], patches.shape[-1])
    classes = embeddings.class_embedding.expand(len(pixels), 1, -1)
    positions = embeddings.position_embedding.weight  # (1 + side * side, C)
    side = math.isqrt(positions.shape[0] - 1)
    if grid != (side, side):
        square = positions[1:].T.reshape(1, -1, side, side)
        resized = F.interpolate(square.float(), grid, mode="bilinear", align_corners=False)[0].flatten(1).T
        positions = torch.cat([positions[:1], resized.to(positions.dtype)])
    if round_positions:
        positions = positions.half().to(positions.dtype)
    tokens = torch.cat([classes, patches.flatten(2).transpose(1, 2)], 1) + positions
    return vision.pre_layrnorm(tokens), grid


def block(
    layer, tokens: Tensor, hidden: Tensor | None = None, mix: bool = True, total: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """One transformer block of the image side.

    Its attention is made strip by strip of queries, so that it is never held for all heads.

    Args:
        tokens: (B, 1 + N, C).
        hidden: (B, N) bool, patches that the class token must not see; None hides none.
        mix: without it every token attends to itself alone; the attention reported is the same.
        total: (B, heads, 1 + N, 1 + N), to which the softmax of every head is added.

    Returns:
        (B, 1 + N, C), and the mean over heads of the softmax (B, 1 + N, 1 + N), rows = queries.
    """
    attention = layer.self_attn
    normed = layer.layer_norm1(tokens)
    query, key, value = (
        projection(normed).unflatten(-1, (-1, attention.head_dim)).transpose(1, 2)  # (B, heads, 1 + N, d)
        for projection in (attention.q_proj, attention.k_proj, attention.v_proj)
    )
    mean = query.new_empty(len(tokens), tokens.shape[1], tokens.shape[1])
    mixed = torch.empty_like(value) if mix else value
    rows = max(1, STRIP_BYTES // (4 * key[..., 0].numel()))
    for start in range(0, tokens.shape[1], rows):
        strip = slice(start, start + rows)
        scores = query[:, :, strip] @ key.transpose(-1, -2) * attention.scale  # (B, heads, rows, 1 + N)
        if hidden is not None and start == 0:  # the class token is the first; it always sees itself
            scores[:, :, 0] += F.pad(hidden, (1, 0)).to(scores.dtype)[:, None] * -1000
        weights = scores.softmax(-1, dtype=torch.float32).to(scores.dtype)
        mean[:, strip] = weights.mean(1)
        if total is not None:
            total[:, :, strip] += weights
        if mix:
            mixed[:, :, strip] = weights @ value
    tokens = tokens + attention.out_proj(mixed.transpose(1, 2).flatten(2))
    return tokens + layer.mlp(layer.layer_norm2(tokens)), mean


def project(model: "CLIPModel", tokens: Tensor) -> Tensor:
    """Tokens after the last block (..., C) -> features in the space of the texts (..., D)."""
    return model.visual_projection(model.vision_model.post_layernorm(tokens))


def encode(
    model: "CLIPModel", pixels: Tensor, each_block: Callable[[int, Tensor], None], round_positions: bool = False
) -> tuple[Tensor, tuple[int, int]]:
    """The tokens of one image (3, H, W); the last block does not mix them.

    Args:
        pixels: sides multiples of the patch.
        each_block: gets the number of every block (from 0) and its attention (N, N) float32, which is gone afterwards:
            the mean over heads of the softmax, rows = queries, without the class token's row and column (so rows sum
            to less than 1).
        round_positions: see `embed`.

    Returns:
        (1 + N, D) float32 unnormalised features in the space of the texts, row 0 is the class token; and the grid
        (rows, columns) of the N = rows * columns patches, row-major.
    """
    tokens, grid = embed(model, pixels[None], round_positions)
    layers = model.vision_model.encoder.layers
    for index, layer in enumerate(layers):
        tokens, weights = block(layer, tokens, mix=index < len(layers) - 1)
        each_block(index, weights[0, 1:, 1:].float())
        del weights  # before the next block makes its own
    return project(model, tokens[0]).float(), grid


def encode_crops(model: "CLIPModel", crops: Tensor, hidden: Tensor) -> Tensor:
    """The class token's feature of each crop when it sees only part of the patches, in all blocks.

    Args:
        crops: (B, 3, S, S) normalised pixels at the model's own size.
        hidden: (B, N) bool, the patches kept from the class token.

    Returns:
        (B, D) float32, unnormalised.
    """
    tokens, _ = embed(model, crops)
    for layer in model.vision_model.encoder.layers:
        tokens, _ = block(layer, tokens, hidden)
    return project(model, tokens[:, 0]).float()
