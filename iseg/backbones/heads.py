"""Single heads' self-attention of one pass: queries and keys are kept, a matrix is made when it is asked for."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from iseg.attention import Layers
from iseg.backbones.recording import Recording, Target
from iseg.refine import ROWS_AT_ONCE


@dataclass(frozen=True)
class Head:
    """One head's self-attention of one image: query (HW, d), scaled, and key (HW, d), both float32."""

    query: Tensor
    key: Tensor

    def matrix(self) -> Tensor:
        """(HW, HW) float32 softmax, rows = queries, made anew every time. Raises no error for values not finite."""
        keys = self.key.T
        attention = self.query.new_empty(len(self.query), len(self.key))
        size = ROWS_AT_ONCE if self.query.device.type == "cpu" else len(self.query)
        for rows, queries in zip(attention.split(size), self.query.split(size), strict=True):
            torch.softmax(queries @ keys, -1, out=rows)
        return attention


class HeadRecording(Recording):
    """Context manager that keeps queries and keys of chosen self-attention heads; see `Recording`.

    4096 places of ten heads of 64 are 21 MB so, 671 MB as matrices.

    Args:
        unet: a UNet of diffusers.
        layers: {layer: heads}, in the order in which `take_heads` gives them.
    """

    def __init__(self, unet: nn.Module, layers: dict[str, list[int]], on_complete: Callable[[], None]) -> None:
        super().__init__(unet, Layers({}, layers), on_complete=on_complete)
        self._order = [(id(module), heads) for module, heads, _ in self._targets]
        self._kept_layers: dict[int, tuple[Tensor, Tensor]] = {}

    def __enter__(self) -> "HeadRecording":
        super().__enter__()
        return self

    def add(self, target: Target, attn: Any, hidden: Tensor, context: Tensor | None, heads: Any) -> None:
        """Keep a layer's queries and keys, (B, heads, HW, d) float32 each."""
        split = [projection(hidden).unflatten(-1, (attn.heads, -1)).transpose(1, 2).float()
                 for projection in (attn.to_q, attn.to_k)]  # fmt: skip
        self._kept_layers[id(attn)] = split[0] * attn.scale, split[1]
        self._calls += 1
        if self._calls % len(self._targets) == 0 and self.on_complete is not None:
            self.on_complete()

    def take_heads(self) -> list[list[Head]]:
        """The heads of each of B images, in the order of the layers that were given."""
        kept = [(*self._kept_layers[key], heads) for key, heads in self._order]
        self._kept_layers = {}
        images = len(kept[0][0])
        return [[Head(query[b, head], key[b, head]) for query, key, heads in kept for head in heads]
                for b in range(images)]  # fmt: skip
