"""CLIP's image side as CLIPer reads it: patch features of all layers, mixed by early layers' attention (2411.13836)."""

from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from torch import Tensor

from iseg.clip_maps.fusion import balance_, mix
from iseg.tagging.vision import block, embed, normalized, project

if TYPE_CHECKING:
    from transformers import CLIPModel


def to_pixels(image: Image.Image, patch: int, shortest_side: int) -> Tensor:
    """An RGB image as CLIP's normalised pixels (3, H, W) float32 (bicubic).

    The shorter side becomes `shortest_side`, each rounded to a multiple of the patch, at least one.
    """
    scale = shortest_side / min(image.size)
    width, height = (max(1, int(side * scale / patch + 0.5)) * patch for side in image.size)
    return normalized(image.convert("RGB").resize((width, height), Image.Resampling.BICUBIC))


def fuse_layer(attention: Any, normed: Tensor, balanced: Tensor) -> tuple[Tensor, Tensor]:
    """The last block's attention with other weights, no residual and no MLP.

    Args:
        attention: the block's attention module, of which the value and output projections are used.
        normed: (N, C) tokens after the block's first layer norm.
        balanced: (H, N, N) of `balance_`.

    Returns:
        (N, C), and the mean over heads of the weights (N, N).
    """
    values = attention.v_proj(normed).unflatten(-1, (-1, attention.head_dim)).transpose(0, 1)  # (H, N, d)
    mixed, weights = mix(balanced, values)
    return attention.out_proj(mixed.transpose(0, 1).flatten(1)), weights


def encode_apart(model: "CLIPModel", pixels: Tensor) -> tuple[Tensor, tuple[int, int]]:
    """Pictures (B, 3, H, W) -> (B, 1 + hw, D) float32 features of tokens that the last block does not mix; the grid."""
    tokens, grid = embed(model, pixels, round_positions=True)
    *earlier, last = model.vision_model.encoder.layers
    for layer in earlier:
        tokens, _ = block(layer, tokens)
    tokens, _ = block(last, tokens, mix=False)
    return project(model, tokens).float(), grid


def encode(model: "CLIPModel", pixels: Tensor) -> tuple[Tensor, Tensor, tuple[int, int]]:
    """What CLIP says of one picture (3, H, W), sides multiples of the patch.

    Returns:
        (L, 1 + hw, D) float32 features of every layer in the space of the texts, the class token first;
        (hw, hw) mean over heads of the last layer's weights, the class token cut off (rows sum to at most 1);
        and the grid (rows, columns).

    The summed attention (H, 1 + hw, 1 + hw) is the largest thing that is held.
    """
    tokens, grid = embed(model, pixels[None], round_positions=True)
    *earlier, last = model.vision_model.encoder.layers
    count = tokens.shape[1]
    total = tokens.new_zeros(1, last.self_attn.num_heads, count, count)
    kept = []
    for layer in earlier:
        kept.append(layer.layer_norm1(tokens)[0])
        tokens, _ = block(layer, tokens, total=total)
    kept.append(tokens[0])
    balanced, features, weights = total[0], [], None
    for each in kept:
        balance_(balanced)  # once more for every layer
        fused, weights = fuse_layer(last.self_attn, last.layer_norm1(each), balanced)
        features.append(project(model, fused).float())
    assert weights is not None  # every CLIP has a layer
    return torch.stack(features), weights[1:, 1:].float(), grid
