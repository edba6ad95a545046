"""Early-layer fusion: the attention of all earlier blocks, balanced, stands in for the last one's (CLIPer 2411.13836).

N tokens, the class token first; H heads; rows of every attention = queries.
"""

import torch
from torch import Tensor


def balance_(total: Tensor) -> Tensor:
    """One balancing round, in place: each column of (H, N, N) divided by its sum, then each row by its own.

    A column or row of zeros stays zero.
    """
    for dim in (-2, -1):
        sums = total.sum(dim, keepdim=True)
        total /= torch.where(sums > 0, sums, torch.ones_like(sums))
    return total


def head_weights(balanced: Tensor) -> Tensor:
    """The weights (N, N) of one head of `balance_`: symmetric part, what lies above its column's mean, rows of sum 1.

    A row with nothing above the mean, such as the only one of a single token, keeps to itself: the identity row.
    """
    weights = (balanced + balanced.T) / 2
    weights = (weights - weights.mean(0)).clamp_min(0)
    sums = weights.sum(1, keepdim=True)
    weights /= torch.where(sums > 0, sums, torch.ones_like(sums))
    weights.diagonal().add_((sums[:, 0] <= 0).to(weights))
    return weights


def mix(balanced: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Values (H, N, d) mixed by each head's weights, and the mean over heads of the weights (N, N).

    One head at a time: two matrices of N x N are all that is held beside `balanced` (H, N, N).
    """
    mixed, mean = torch.empty_like(values), torch.zeros_like(balanced[0])
    for head, each in enumerate(balanced):
        weights = head_weights(each)
        mixed[head] = weights @ values[head]
        mean += weights
    return mixed, mean / len(balanced)
