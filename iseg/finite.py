"""The one way out of the model for maps: what is not finite is refused."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from iseg.errors import NotFinite


def check_finite(maps: Tensor) -> None:
    """Raises NotFinite for maps of any shape with NaN or infinity."""
    if not torch.isfinite(maps).all():
        raise NotFinite(
            "the model's attention is not finite (NaN or infinity): its weights are broken or overflow in this "
            "precision; try dtype float32, or another copy of the weights"
        )


def finite_array(maps: Tensor) -> NDArray[np.float32]:
    """Maps of any shape as float32 on the CPU, as they leave the model. Raises NotFinite for NaN or infinity."""
    left = maps.float().cpu()
    check_finite(left)
    return left.numpy()


def to_grids(steps: Tensor) -> NDArray[np.float32]:
    """Maps (N, HW, K) -> (N, K, h, w) float32 on the CPU, as they leave the model.

    Raises NotFinite for maps with NaN or infinity: whatever is not finite in a pass ends up in its maps.
    """
    side = round(steps.shape[1] ** 0.5)
    return finite_array(steps.transpose(1, 2).unflatten(2, (side, side)))
