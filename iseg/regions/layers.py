"""The self-attention of all layers of a model as one matrix (DiffSeg, arXiv 2308.12469)."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor


def aggregate(maps: Mapping[int, Tensor]) -> Tensor:
    """Maps of several resolutions -> one distribution over the places of the finest grid for each of its places.

    The keys of coarser maps are resized (bilinear) to the finest grid and every map is renormalised; the queries are
    repeated. A layer weighs in proportion to its resolution.

    Args:
        maps: {resolution r: (r^2, r^2) non-negative float, the sum over the layers of that resolution; rows = queries}.

    Returns:
        (S^2, S^2) float32, S the largest resolution; rows sum to 1.
    """
    side = max(maps)
    total = torch.zeros(side, side, side * side, device=maps[side].device)
    for resolution, own in maps.items():
        layers = own.sum(1, keepdim=True)  # a layer's rows sum to 1
        keys = own.unflatten(1, (resolution, resolution))[:, None]
        if resolution < side:
            keys = F.interpolate(keys, (side, side), mode="bilinear", align_corners=False)
        keys = keys.flatten(1)
        rows = (keys * (resolution * layers / keys.sum(1, keepdim=True))).unflatten(0, (resolution, resolution))
        query = torch.arange(side, device=rows.device) * resolution // side
        for y in range(side):  # a row of places at a time: the repeated matrix is never held
            total[y] += rows[query[y], query]
    total = total.flatten(0, 1)
    return total.div_(total.sum(1, keepdim=True))
