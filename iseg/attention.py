"""Which attention heads a pass records, and the record it leaves (iSeg 2409.03209, method step 1)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from iseg.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor  # settings alone need not wait for torch


@dataclass(frozen=True)
class Layers:
    """What to record; heads are 0-based indices, and a layer without heads is not recorded.

    Attributes:
        cross_attention: {resolution: {layer: heads}} and
        self_attention: {layer: heads}, layers by the path of their transformer block, e.g.
            "down_blocks.2.attentions.0.transformer_blocks.0".
        every_self: record the self-attention of every layer and head, too.
    """

    cross_attention: Mapping[int, Mapping[str, Sequence[int]]] = field(default_factory=dict)
    self_attention: Mapping[str, Sequence[int]] = field(default_factory=dict)
    every_self: bool = False


@dataclass(frozen=True)
class Record:
    """Means over the recorded heads (and steps, where several were recorded).

    Attributes:
        cross_attention: {resolution r: (B, L, r, r)} float32 probabilities.
        self_attention: (B, HW, HW) float32, rows = queries; None if none was asked for.
        every_self: {resolution r: (B, r^2, r^2) float32}, the mean heads of all layers of a resolution added up, rows =
            queries; {} if not asked for.
    """

    cross_attention: "dict[int, Tensor]"
    self_attention: "Tensor | None"
    every_self: "dict[int, Tensor]" = field(default_factory=dict)


def choose_heads(counts: Mapping[str, int], flat: Sequence[int] | None, what: str) -> dict[str, list[int]]:
    """Flat indices over the concatenated heads of some layers -> {layer: heads of that layer}.

    Args:
        counts: {layer: head count} in execution order.
        flat: the indices; None = all heads.
        what: the setting, for messages.

    Raises InputError for no index and for one that no layer has.
    """
    total = sum(counts.values())
    if flat is not None and not flat:
        raise InputError(f"{what} is empty: expected heads in 0..{total - 1}, or null for all")
    wrong = [head for head in flat or () if not 0 <= head < total]
    if wrong:
        raise InputError(f"{what} names head {wrong[0]}: the layers {', '.join(counts)} have {total} heads together")
    chosen, start = {}, 0
    for layer, count in counts.items():
        chosen[layer] = [head for head in range(count) if flat is None or start + head in flat]
        start += count
    return chosen
