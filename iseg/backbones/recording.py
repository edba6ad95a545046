"""Recording of attention maps while a diffusers UNet runs, whoever runs it."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from iseg.attention import Layers, Record
from iseg.errors import InputError, echo
from iseg.refine import ROWS_AT_ONCE

Half = Literal["both", "unconditional", "conditional"]
EVERY: Literal["every"] = "every"  # where the self-attention of every layer goes, whatever its resolution
Target = int | Literal["every"] | None  # a resolution of cross-attention; None = the chosen self-attention


class PassEnded(Exception):
    """Raised inside the UNet by `end_pass` when all that was asked for has been recorded."""


def end_pass() -> None:
    """For `Recording.on_complete`: leave the pass at once, nothing after the last recorded layer is needed."""
    raise PassEnded


def attention_module(unet: nn.Module, layer: str, kind: str) -> Any:
    """The `attn1` (self) or `attn2` (cross) module of a layer. Raises InputError listing the layers there are."""
    try:
        return unet.get_submodule(f"{layer}.{kind}")
    except AttributeError:
        known = [name.removesuffix(f".{kind}") for name, _ in unet.named_modules() if name.endswith(f".{kind}")]
        raise InputError(f"the UNet has no attention layer {echo(layer)}: it has {', '.join(known)}") from None


def add_probabilities(
    total: Tensor | None, attn: Any, hidden: Tensor, context: Tensor | None, heads: Sequence[int]
) -> Tensor:
    """`total` plus softmax(Q K^T / sqrt(d)) of each of `heads`, (B, queries, keys) float32; None stands for zeros.

    Multiplied in float32 whatever the layer computes in: float16 is 1 % off at logits near 30. One head, and on the CPU
    some queries, at a time: they stay in the cache, and nothing as large as `total` is held.
    """
    query = attn.to_q(hidden)  # (B, queries, heads * d)
    key = attn.to_k(hidden if context is None else context)  # (B, keys, heads * d)
    width, queries = query.shape[-1] // attn.heads, query.shape[1]
    if total is None:
        total = torch.zeros(len(query), queries, key.shape[1], device=query.device)
    size = ROWS_AT_ONCE if query.device.type == "cpu" else queries
    for head in heads:
        part = slice(head * width, (head + 1) * width)
        keys = key[..., part].float().transpose(1, 2)
        for start in range(0, queries, size):
            rows = slice(start, start + size)
            total[:, rows] += ((query[:, rows, part].float() * attn.scale) @ keys).softmax(-1)
    return total


class _Recorder:
    """An attention processor that records, then lets the layer's own processor (SDPA) compute its output."""

    def __init__(self, recording: "Recording", inner: Any, heads: Sequence[int], target: Target) -> None:
        self.recording, self.inner, self.heads, self.target = recording, inner, heads, target

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, *args, **kwargs) -> Tensor:
        self.recording.add(self.target, attn, hidden_states, encoder_hidden_states, self.heads)
        return self.inner(attn, hidden_states, encoder_hidden_states, *args, **kwargs)


class Recording:
    """Context manager that records the means of chosen attention heads of a diffusers UNet.

    Inside the `with` block every pass that anybody makes is added to the means: one pass of ours, or the steps of
    somebody else's pipeline. Only the named layers compute explicit probabilities, only of the chosen heads; all other
    layers are left alone. On exit, whatever happens, every processor is put back.

    Args:
        unet: a UNet of diffusers.
        layers: what to record.
        half: rows of the batch to keep where a pipeline runs guidance, whose batch is [unconditional, conditional].
        on_complete: called whenever a pass has recorded all layers, e.g. `end_pass`.

    Raises InputError for a layer or head that the UNet does not have.
    """

    def __init__(
        self, unet: nn.Module, layers: Layers, half: Half = "both", on_complete: Callable[[], None] | None = None
    ) -> None:
        self.layers, self.half, self.on_complete = layers, half, on_complete
        self._targets: list[tuple[Any, Sequence[int], Target]] = []
        for resolution, chosen in layers.cross_attention.items():
            self._targets += [
                (_checked(unet, name, "attn2", heads), heads, resolution) for name, heads in chosen.items() if heads
            ]
        for name, heads in layers.self_attention.items():
            if heads:
                self._targets.append((_checked(unet, name, "attn1", heads), heads, None))
        if layers.every_self:
            found: list[Any] = [each for name, each in unet.named_modules() if name.endswith(".attn1")]
            self._targets += [(each, range(each.heads), EVERY) for each in found]
        self._originals: list[tuple[Any, object]] = []
        self._sums: dict[int | None, Tensor] = {}  # {resolution, None = self: (B, queries, keys)}
        self._counts: dict[int | None, int] = {}  # heads added to each sum
        self._every: dict[int, Tensor] = {}  # {resolution: (B, queries, keys)}
        self._calls = 0

    def __enter__(self) -> "Recording":
        for module, heads, target in self._targets:
            self._originals.append((module, module.processor))
            module.set_processor(_Recorder(self, module.processor, heads, target))
        return self

    def __exit__(self, *exception: object) -> None:
        for module, processor in self._originals:
            module.set_processor(processor)
        self._originals.clear()

    def add(self, target: Target, attn: Any, hidden: Tensor, context: Tensor | None, heads: Sequence[int]) -> None:
        """Add some heads of a layer to the sum of its resolution (None: of self-attention)."""
        hidden, context = self._kept(hidden), None if context is None else self._kept(context)
        if isinstance(target, str):  # EVERY
            self._add_layer(add_probabilities(None, attn, hidden, context, heads).div_(len(heads)))
        else:
            self._sums[target] = add_probabilities(self._sums.get(target), attn, hidden, context, heads)
            self._counts[target] = self._counts.get(target, 0) + len(heads)
        self._calls += 1
        if self._calls % len(self._targets) == 0 and self.on_complete is not None:
            self.on_complete()

    def _add_layer(self, mean: Tensor) -> None:
        resolution = round(mean.shape[1] ** 0.5)
        if resolution in self._every:
            self._every[resolution] += mean
        else:
            self._every[resolution] = mean

    def _kept(self, rows: Tensor) -> Tensor:
        if self.half == "both":
            return rows
        unconditional, conditional = rows.chunk(2)
        return unconditional if self.half == "unconditional" else conditional

    def take(self) -> Record:
        """The means over all heads and passes recorded since the last `take`; what follows is recorded anew.

        Raises InputError for layers that the UNet ran at another resolution than the configured one.
        """
        means = {target: total.div_(self._counts[target]) for target, total in self._sums.items()}
        every, self._sums, self._counts, self._every = self._every, {}, {}, {}
        cross = {}
        for resolution, chosen in self.layers.cross_attention.items():
            if resolution not in means:
                continue
            queries = means[resolution].shape[1]
            if queries != resolution**2:
                raise InputError(
                    f"layers {', '.join(chosen)} are configured as {resolution}x{resolution}, "
                    f"the UNet ran them at {queries**0.5:g}x{queries**0.5:g}"
                )
            cross[resolution] = means[resolution].transpose(1, 2).unflatten(2, (resolution, resolution))
        return Record(cross, means.get(None), every)


def _checked(unet: nn.Module, name: str, kind: str, heads: Sequence[int]) -> Any:
    module = attention_module(unet, name, kind)
    wrong = [head for head in heads if not 0 <= head < module.heads]
    if wrong:
        raise InputError(f"layer {name} has heads 0..{module.heads - 1}: head {wrong[0]} was asked for")
    return module
