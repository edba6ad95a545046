"""Pixel-adaptive mask refinement (PAMR, arXiv 2005.08104): scores spread between neighbours of one colour."""

import torch
import torch.nn.functional as F
from torch import Tensor

ITERATIONS = 10
DILATIONS = (1, 2, 4, 8, 12, 24)  # pixels
CONTRAST = 0.1  # colours that differ by so many local deviations count e times less
EPSILON = 1e-8
COMPASS = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0)]


def pamr(maps: Tensor, picture: Tensor, iterations: int = ITERATIONS, dilations: tuple[int, ...] = DILATIONS) -> Tensor:
    """Maps (K, H, W) -> (K, H, W) float32: `iterations` times the weighted mean over each pixel's neighbours.

    Pixel i has eight neighbours j at each distance of `dilations`; beyond the border its pixels repeat. Their weights
    are softmax_j(-mean_c |I_ic - I_jc| / (0.1 s_ic)), with s_ic the standard deviation of channel c over i and all its
    neighbours. The weights of a pixel sum to 1, so that maps keep their range.

    Args:
        maps: of any range.
        picture: (3, H, W) RGB in [0, 1], on the device of the maps.
    """
    offsets = [(dy * far, dx * far) for far in dilations for dy, dx in COMPASS]
    weights = affinity(picture.float(), offsets)
    refined = maps.float()
    for _ in range(iterations):
        total = torch.zeros_like(refined)
        for weight, moved in zip(weights, neighbours(refined, offsets), strict=True):
            total.addcmul_(moved, weight)
        refined = total
    return refined


def affinity(picture: Tensor, offsets: list[tuple[int, int]]) -> Tensor:
    """Weights (N, H, W) of the N neighbours of every pixel of a picture (3, H, W); they sum to 1 over N."""
    mean, square = picture.clone(), picture.square()
    for moved in neighbours(picture, offsets):
        mean += moved
        square += moved.square()
    count = len(offsets) + 1
    mean /= count
    # the unbiased deviation; rounding may leave a flat patch a little below 0
    deviation = ((square - count * mean.square()) / (count - 1)).clamp_min(0).sqrt()
    scale = EPSILON + CONTRAST * deviation
    alike = [-((picture - moved).abs() / scale).mean(0) for moved in neighbours(picture, offsets)]
    return torch.stack(alike).softmax(0)


def neighbours(maps: Tensor, offsets: list[tuple[int, int]]):
    """For each (dy, dx) the maps (C, H, W) of the pixels that lie so far below and to the right."""
    reach = max(max(abs(dy), abs(dx)) for dy, dx in offsets)
    height, width = maps.shape[1:]
    wide = F.pad(maps[None], (reach, reach, reach, reach), mode="replicate")[0]
    for dy, dx in offsets:
        yield wide[:, reach + dy : reach + dy + height, reach + dx : reach + dx + width]
