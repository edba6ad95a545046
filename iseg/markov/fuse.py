"""Several clicks, one mask: each pixel takes the sign of the click it is nearest to, in units of the click's radius."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SMALLEST_RADIUS = 1e-7
FAR = 4.0  # radii; further away is as far


def relative(distances: Sequence[NDArray], radii: NDArray) -> NDArray[np.float64]:
    """Distance maps (H, W) of n clicks in units of their radii: (n, H, W)."""
    return np.stack([each / max(radius, SMALLEST_RADIUS) for each, radius in zip(distances, radii, strict=True)])


def fuse(
    distances: Sequence[NDArray], radii: NDArray, signs: Sequence[bool], pixels: Sequence[tuple[int, int]]
) -> NDArray[np.bool_]:
    """The mask (H, W) of n clicks, exactly as published; clicked pixels get their own sign.

    Args:
        distances: n maps (H, W). radii: (n,). signs: True = in the object. pixels: (row, column) of the clicks.
    """
    units = relative(distances, radii)
    nearest = units.argmin(0)  # the first of equals
    mask: NDArray[np.bool_] = np.asarray(signs)[nearest] & (units.min(0) <= 1)
    for pixel, sign in zip(pixels, signs, strict=True):
        mask[pixel] = sign
    return mask


def margins(distances: Sequence[NDArray], radii: NDArray, signs: Sequence[bool]) -> NDArray[np.float32]:
    """The same decision as a score (H, W) in [0, 1], 0.5 at the border: what can be made larger without steps.

    With d the relative distances, it is 0.5 + 0.5 * min(1 - d+, d- - d+), within [0, 1].
    """
    units, positive = np.minimum(relative(distances, radii), FAR), np.asarray(signs, bool)
    if not positive.any():
        return np.zeros(units.shape[1:], np.float32)
    near = units[positive].min(0)
    margin = 1 - near
    if not positive.all():
        margin = np.minimum(margin, units[~positive].min(0) - near)
    return np.clip(0.5 + 0.5 * margin, 0, 1).astype(np.float32)
