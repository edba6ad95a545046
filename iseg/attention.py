"""Recording of attention maps: chosen layers and heads of one UNet pass, which ends after the last of them."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from iseg.errors import InputError


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


def probabilities(attn: Any, hidden: Tensor, context: Tensor | None, heads: Sequence[int]) -> Iterable[Tensor]:
    """softmax(Q K^T / sqrt(d)) of single heads: yields (B, queries, keys) float32, one head at a time.

    Only the chosen heads are computed, and never more than one is held.
    """
    query = attn.to_q(hidden)  # (B, queries, heads * d)
    key = attn.to_k(hidden if context is None else context)  # (B, keys, heads * d)
    width = query.shape[-1] // attn.heads
    for head in heads:
        part = slice(head * width, (head + 1) * width)
        scores = (query[..., part] * attn.scale) @ key[..., part].transpose(1, 2)
        yield scores.softmax(-1, dtype=torch.float32)


class _Recorder:
    """An attention processor that records, then lets the layer's own processor (SDPA) compute its output."""

    def __init__(self, record: "AttentionRecord", inner, heads: Sequence[int], target: int | None) -> None:
        self.record, self.inner, self.heads, self.target = record, inner, heads, target

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, *args, **kwargs) -> Tensor:
        for head in probabilities(attn, hidden_states, encoder_hidden_states, self.heads):
            self.record.add(self.target, head)
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
        self._sums: dict[int | None, Tensor] = {}

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
        self._sums.clear()
        self._left = len(self.targets)
        with suppress(_PassEnded):
            self.unet(latents, timestep, encoder_hidden_states=embeddings)

    def add(self, target: int | None, head: Tensor) -> None:
        """Accumulate one head's probabilities (B, queries, keys)."""
        if target in self._sums:
            self._sums[target] += head
        else:
            self._sums[target] = head

    def layer_done(self) -> None:
        self._left -= 1
        if self._left == 0 and self.early_exit:
            raise _PassEnded

    @property
    def cross(self) -> dict[int, Tensor]:
        means = {}
        for resolution, chosen in self.layers.cross.items():
            if resolution not in self._sums:
                continue
            total = self._sums[resolution]  # (B, r * r, L)
            if total.shape[1] != resolution**2:
                side = total.shape[1] ** 0.5
                raise InputError(
                    f"layers {', '.join(chosen)} are configured as {resolution}x{resolution}, "
                    f"the UNet ran them at {side:g}x{side:g}"
                )
            mean = total / sum(len(heads) for heads in chosen.values())
            means[resolution] = mean.transpose(1, 2).unflatten(2, (resolution, resolution))
        return means

    @property
    def self(self) -> Tensor | None:
        if None not in self._sums:
            return None
        return self._sums[None] / sum(len(heads) for heads in self.layers.self.values())
