"""What the pipeline sees of a diffusion model, whatever its family."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from iseg.attention import Layers, Record
from iseg.backbones.heads import Head
from iseg.backbones.table import BackboneRow
from iseg.prompt import Prompt


@dataclass(frozen=True)
class Condition:
    """What a network is told about B prompts.

    Attributes:
        embeddings: (B, L, D) with the category enhancement.
        spans: for each prompt the token indices of the focus of each of its classes.
        added: what a family needs beside the embeddings (pooled vectors, size ids), each (B, ...).
    """

    embeddings: Tensor
    spans: list[list[list[int]]]
    added: dict[str, Tensor] = field(default_factory=dict)


class Backbone(Protocol):
    """A loaded diffusion model on one device."""

    row: BackboneRow
    source: str  # where the weights came from
    tokenizer: Any  # a fast CLIP tokenizer
    device: torch.device
    dtype: torch.dtype  # what it computes in

    def encode(self, squares: Tensor) -> Tensor:
        """Images (B, 3, S, S) float32 in [0, 1] -> latents (B, C, h, w): posterior mean times the scaling factor."""

    def condition(self, prompts: Sequence[Prompt]) -> Condition:
        """Prompts -> what the network is told. Raises InputError for a class word that it does not know or reach."""

    def noised(self, latents: Tensor, timestep: int | None = None) -> Tensor:
        """Latents (B, C, h, w) with the row's fixed noise, the same for every image, at its timestep or a given one."""

    def widened(self) -> AbstractContextManager[None]:
        """A block in which the model computes in float32. Raises NotFinite where it does so already."""

    def record(self, latents: Tensor, condition: Condition, layers: Layers) -> Record:
        """One pass over noised latents (B, C, h, w), which ends after the last recorded layer."""

    def heads(self, latents: Tensor, condition: Condition, timestep: int) -> list[list[Head]]:
        """The heads of the row's `head_layers`, in that order, of each of B images: one pass over noised latents."""
