"""Refinement by a product of single heads' self-attention, which is never built as a matrix (CLIPer 2411.13836)."""

from collections.abc import Iterable

from torch import Tensor

from iseg.refine import ROWS_AT_ONCE

EPSILON = 1e-5  # added to the published divisors


def sharpen_(attention: Tensor, threshold: float) -> Tensor:
    """Divide each column (key) by its maximum, drop what is below the threshold, divide each row by its sum; in place.

    Args:
        attention: (HW, HW) of one head, rows = queries. A row that loses everything stays zero, as published.
    """
    peak = attention.amax(0) + EPSILON
    for rows in attention.split(ROWS_AT_ONCE if attention.device.type == "cpu" else len(attention)):
        rows /= peak
        rows.masked_fill_(rows < threshold, 0)
        rows /= rows.sum(1, keepdim=True) + EPSILON
    return attention


def apply_heads(heads: Iterable[Tensor], maps: Tensor, threshold: float) -> Tensor:
    """A_0 A_1 ... A_n-1 maps, by one product per head.

    Args:
        heads: attention (HW, HW) of each head from the LAST to the first, made when asked for and changed in place, so
            that one matrix is all that is held.
        maps: (HW, K).
    """
    for attention in heads:
        maps = sharpen_(attention, threshold) @ maps
    return maps
