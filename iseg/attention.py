"""Recording of attention maps: chosen layers and heads of one UNet pass, which ends after the last of them."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from iseg.errors import InputError
from iseg.refine import ROWS_AT_ONCE


@dataclass(frozen=True)
class Layers:
    """What to record.

    Attributes:
        cross: {resolution: {layer: heads}} and
        self: {layer: heads}, layers by module name without `.transformer_blocks.0.attn*`, e.g.
            "down_blocks.2.attentions.0"; heads are 0-based indices. A layer without heads is not recorded.
    """

    cross: Mapping[int, Mapping[str, Sequence[int]]] = field(default_factory=dict)
    self: Mapping[str, Sequence[int]] = field(default_factory=dict)


class _PassEnded(Exception):
    """Raised inside the UNet when everything asked for has been recorded."""


def attention_module(unet: nn.Module, layer: str, kind: str) -> Any:
    """The `attn1` (self) or `attn2` (cross) module of a layer. Raises InputError listing the layers there are."""
    try:
        return unet.get_submodule(f"{layer}.transformer_blocks.0.{kind}")
    except AttributeError:
        suffix = f".transformer_blocks.0.{kind}"
        known = [name.removesuffix(suffix) for name, _ in unet.named_modules() if name.endswith(suffix)]
        raise InputError(f"the UNet has no attention layer {layer!r}: it has {', '.join(known)}") from None


def add_probabilities(
    total: Tensor | None, attn: Any, hidden: Tensor, context: Tensor | None, heads: Sequence[int]
) -> Tensor:
    """`total` plus softmax(Q K^T / sqrt(d)) of each of `heads`, (B, queries, keys) float32; None stands for zeros.

    One head, and on the CPU some queries, at a time: they stay in the cache, and nothing as large as `total` is held.
    """
    query = attn.to_q(hidden)  # (B, queries, heads * d)
    key = attn.to_k(hidden if context is None else context)  # (B, keys, heads * d)
    width, queries = query.shape[-1] // attn.heads, query.shape[1]
    if total is None:
        total = torch.zeros(len(query), queries, key.shape[1], device=query.device)
    size = ROWS_AT_ONCE if query.device.type == "cpu" else queries
    for head in heads:
        part = slice(head * width, (head + 1) * width)
        keys = key[..., part].transpose(1, 2)
        for start in range(0, queries, size):
            rows = slice(start, start + size)
            total[:, rows] += ((query[:, rows, part] * attn.scale) @ keys).softmax(-1, dtype=torch.float32)
    return total


class _Recorder:
    """An attention processor that records, then lets the layer's own processor (SDPA) compute its output."""

    def __init__(self, record: "AttentionRecord", inner, heads: Sequence[int], target: int | None) -> None:
        self.record, self.inner, self.heads, self.target = record, inner, heads, target

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, *args, **kwargs) -> Tensor:
        sums = self.record.sums
        sums[self.target] = add_probabilities(
            sums.get(self.target), attn, hidden_states, encoder_hidden_states, self.heads
        )
        self.record.layer_done()
        return self.inner(attn, hidden_states, encoder_hidden_states, *args, **kwargs)


class AttentionRecord:
    """Context manager that records the means of chosen attention heads of a diffusers UNet.

    Inside the `with` block `run(...)` makes the pass. Only the named layers compute explicit probabilities, only of
    the chosen heads, accumulated into means; all other layers are left alone. The pass ends right after the last
    recorded layer. On exit, whatever happens, every processor is put back.

    After `run`:
        cross: {resolution: (B, L, r, r)} float32, mean over the chosen heads of that resolution.
        self: (B, HW, HW) float32, rows = queries, mean over the chosen heads; None if no self layer was asked for.

    Raises InputError for a layer or head that the UNet does not have.
    """

    def __init__(self, unet: nn.Module, layers: Layers, early_exit: bool = True) -> None:
        self.unet, self.layers, self.early_exit = unet, layers, early_exit
        self.targets: list[tuple[Any, Sequence[int], int | None]] = []
        for resolution, chosen in layers.cross.items():
            self.targets += [(self._checked(name, "attn2", heads), heads, resolution) for name, heads in chosen.items()]
        self.targets += [(self._checked(name, "attn1", heads), heads, None) for name, heads in layers.self.items()]
        self.targets = [target for target in self.targets if target[1]]
        self._originals: list[tuple[Any, object]] = []
        self.sums: dict[int | None, Tensor] = {}  # {resolution, None = self: (B, queries, keys)}; means after `run`

    def _checked(self, name: str, kind: str, heads: Sequence[int]) -> Any:
        module = attention_module(self.unet, name, kind)
        wrong = [head for head in heads if not 0 <= head < module.heads]
        if wrong:
            raise InputError(f"layer {name} has heads 0..{module.heads - 1}: head {wrong[0]} was asked for")
        return module

    def __enter__(self) -> "AttentionRecord":
        for module, heads, target in self.targets:
            self._originals.append((module, module.processor))
            module.set_processor(_Recorder(self, module.processor, heads, target))
        return self

    def __exit__(self, *exception) -> None:
        for module, processor in self._originals:
            module.set_processor(processor)
        self._originals.clear()

    def run(self, latents: Tensor, timestep: int, embeddings: Tensor) -> None:
        """One UNet pass: latents (B, C, h, w) with noise, embeddings (B, L, D). Overwrites earlier maps."""
        self.sums.clear()
        self._left = len(self.targets)
        with suppress(_PassEnded):
            self.unet(latents, timestep, encoder_hidden_states=embeddings)
        for target, total in self.sums.items():
            total /= sum(len(heads) for _, heads, own in self.targets if own == target)

    def layer_done(self) -> None:
        self._left -= 1
        if self._left == 0 and self.early_exit:
            raise _PassEnded

    @property
    def cross(self) -> dict[int, Tensor]:
        means = {}
        for resolution, chosen in self.layers.cross.items():
            if resolution not in self.sums:
                continue
            total = self.sums[resolution]  # (B, r * r, L)
            if total.shape[1] != resolution**2:
                side = total.shape[1] ** 0.5
                raise InputError(
                    f"layers {', '.join(chosen)} are configured as {resolution}x{resolution}, "
                    f"the UNet ran them at {side:g}x{side:g}"
                )
            means[resolution] = total.transpose(1, 2).unflatten(2, (resolution, resolution))
        return means

    @property
    def self(self) -> Tensor | None:
        return self.sums.get(None)
