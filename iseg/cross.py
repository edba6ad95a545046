"""Cross-attention over layers and heads -> token maps -> class maps (iSeg 2409.03209, method step 2)."""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from iseg.cluster import grid_anchors, kl_kmeans, pool


def fuse(
    maps: Mapping[int, Tensor],
    weights: Mapping[int, float],
    heads: Mapping[int, Sequence[int]] | None = None,
    size: int = 64,
) -> Tensor:
    """One map per token out of the cross-attention of all layers and heads.

    Per resolution: mean over the heads, every token map divided by its spatial sum, bilinear to `size`
    (align_corners=False); then the weighted sum over resolutions.

    Args:
        maps: {resolution r: (H, L, r, r)} probabilities, heads of all layers concatenated in execution order.
        weights: {resolution: weight}, the resolutions to use.
        heads: {resolution: flat head indices} to average; a resolution left out averages all of its heads.
        size: side of the square output grid.

    Returns:
        (L, size, size) float32.
    """
    chosen = heads or {}
    total: Tensor | None = None
    for resolution, weight in weights.items():
        probabilities = maps[resolution].float()  # (H, L, r, r)
        if resolution in chosen:
            index = torch.as_tensor(chosen[resolution], device=probabilities.device)
            probabilities = probabilities[index]
        mean = probabilities.mean(0)  # (L, r, r)
        # a token that no position attends to has an empty map; it stays empty instead of 0/0
        mean = mean / mean.sum((1, 2), keepdim=True).clamp_min(torch.finfo(mean.dtype).tiny)
        resized = F.interpolate(mean[None], (size, size), mode="bilinear", align_corners=False)[0]
        total = weight * resized if total is None else total + weight * resized
    if total is None:
        raise ValueError("fuse needs at least one resolution in `weights`")
    return total


def class_maps(
    token_maps: Tensor,
    spans: Sequence[Sequence[int]],
    cluster: bool,
    rounds: int = 20,
    stride: int = 11,
    dtype: torch.dtype = torch.float64,
) -> Tensor:
    """Token maps -> one column per class: the mean over the class's focus tokens.

    Args:
        token_maps: (L, S, S) of `fuse`.
        spans: for each of K classes the token indices of its focus words.
        cluster: give every position the mean token distribution of its KL cluster first (the published tasks do,
            the interactive mode does not).
        rounds, stride, dtype: see `iseg.cluster.kl_kmeans`.

    Returns:
        (S * S, K) float32, positions in row-major order.
    """
    positions = token_maps.flatten(1).T.contiguous()  # (HW, L)
    if cluster:
        side = token_maps.shape[-1]
        labels = kl_kmeans(positions, side, rounds, stride, dtype)
        positions = pool(positions, labels, clusters=len(grid_anchors(side, stride)))
    shares = torch.zeros(positions.shape[1], len(spans))  # (L, K), of each token in the mean of a class
    for k, span in enumerate(spans):
        shares[list(span), k] = 1 / len(span)
    return positions @ shares.to(positions)
