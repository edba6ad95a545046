"""The loss: cross-entropy over pixels, each with a weight, 255 left out."""

import torch.nn.functional as F
from torch import Tensor

from iseg.data.items import IGNORE


def pixel_loss(logits: Tensor, labels: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Sum of the pixels' weighted losses, and the sum of the weights; their quotient is the loss.

    Args:
        logits: (B, C, h, w) on the network's grid; they are brought to the labels' size, bilinear.
        labels: (B, H, W) int64, 255 = not learnt.
        weights: (B, H, W) float in [0, 1].
    """
    large = F.interpolate(logits.float(), labels.shape[1:], mode="bilinear", align_corners=False)
    each = F.cross_entropy(large, labels, ignore_index=IGNORE, reduction="none")
    counted = weights * (labels != IGNORE)
    return (each * counted).sum(), counted.sum()
