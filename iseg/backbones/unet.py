"""The UNet family: Stable Diffusion 1.x, 2.x, Turbo, XL (method step 1)."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from iseg import prompt
from iseg.attention import Layers, Record
from iseg.backbones.heads import Head, HeadRecording
from iseg.backbones.precision import without_tf32
from iseg.backbones.recording import PassEnded, Recording, attention_module, end_pass
from iseg.backbones.seam import Condition
from iseg.backbones.table import BackboneRow
from iseg.backbones.text import SecondEncoder, both_hidden_states, hidden_states
from iseg.backbones.vae import latents_of
from iseg.errors import InputError, NotFinite
from iseg.prompt import Prompt

KEPT_PROMPTS = 64  # encoded prompts kept: a data set asks for the same classes again and again


@dataclass
class UNetBackbone:
    """The parts of a diffusion model that are used, on one device; see `iseg.backbones.seam.Backbone`."""

    row: BackboneRow
    source: str
    tokenizer: Any
    text_encoder: nn.Module
    vae: Any  # encoder only
    unet: nn.Module
    scheduler: Any
    device: torch.device
    dtype: torch.dtype
    second: SecondEncoder | None = None  # SDXL's
    vae_dtype: torch.dtype | None = None  # what the VAE computes in, `dtype` if None
    _embedded: OrderedDict[tuple[int, ...], tuple[Tensor, Tensor | None]] = field(
        default_factory=OrderedDict, repr=False
    )

    @torch.inference_mode()
    @without_tf32()
    def encode(self, squares: Tensor) -> Tensor:
        """Images (B, 3, S, S) float32 in [0, 1] -> latents (B, C, h, w): posterior mean times the scaling factor."""
        scaled = 2 * squares.to(self.device) - 1
        return latents_of(self.vae, scaled.to(self.vae_dtype or self.dtype)).to(self.dtype)

    @torch.inference_mode()
    def noised(self, latents: Tensor, timestep: int | None = None) -> Tensor:
        """Latents (B, C, h, w) with the row's fixed noise, at its timestep unless another is given.

        The noise is drawn on the CPU so that every device sees the same; it is the same for every image.
        """
        generator = torch.Generator("cpu").manual_seed(self.row.noise_seed)
        noise = torch.randn((1, *latents.shape[1:]), generator=generator).to(latents)
        steps = torch.tensor([self.row.timestep if timestep is None else timestep], device=latents.device)
        return self.scheduler.add_noise(latents, noise, steps)

    @torch.inference_mode()
    @without_tf32()
    def condition(self, prompts: Sequence[Prompt]) -> Condition:
        """Enhanced embeddings (B, L, D) of prompts and the token spans of their classes.

        SDXL's pooled vectors and size ids are added; they are not enhanced.

        Raises InputError for a class word that the model does not know or whose focus lies past its last token.
        """
        rows, pooled, spans = [], [], []
        for each in prompts:
            self.row.check_words(word.word for word in each.words)
            ids, own = prompt.tokenize(self.tokenizer, each)
            states, vector = self.encode_text(ids)
            rows.append(prompt.enhance(states, own, each.enhancement))
            pooled += [] if vector is None else [vector]
            spans.append(own)
        added = {}
        if pooled:
            size = float(self.row.image_size)  # of the image before and after cropping, which begins at (0, 0)
            ids_of_size = torch.tensor([[size, size, 0.0, 0.0, size, size]], device=self.device)
            added = {"text_embeds": torch.stack(pooled), "time_ids": ids_of_size.expand(len(rows), -1)}
        return Condition(torch.stack(rows), spans, added)

    def embed(self, ids: list[int]) -> Tensor:
        """Token ids (L) -> what the UNet reads of a prompt (L, D), before the enhancement; see `encode_text`."""
        return self.encode_text(ids)[0]

    def encode_text(self, ids: list[int]) -> tuple[Tensor, Tensor | None]:
        """Token ids (L) -> hidden states (L, D), and SDXL's pooled vector (P); those of the last prompts are kept."""
        key = tuple(ids)
        if key not in self._embedded:
            if self.second is None:
                tokens = torch.tensor([ids], device=self.device)
                self._embedded[key] = hidden_states(self.text_encoder, tokens)[0], None
            else:
                end = self.tokenizer.eos_token_id
                self._embedded[key] = both_hidden_states(self.text_encoder, self.second, ids, end)
            if len(self._embedded) > KEPT_PROMPTS:
                self._embedded.popitem(last=False)
        self._embedded.move_to_end(key)
        return self._embedded[key]

    def forget_prompts(self) -> None:
        """Drop the kept prompts."""
        self._embedded.clear()

    @contextmanager
    def widened(self) -> Iterator[None]:
        """A block in which the networks compute in float32, with the weights they have; as before afterwards.

        Raises NotFinite where they compute in float32 already, InputError where the device has no room for it.
        """
        if self.dtype == torch.float32:
            raise NotFinite(
                "the model's attention is not finite (NaN or infinity) in float32 either: its weights are broken; "
                "expected another copy of them"
            )
        networks = [self.text_encoder, self.vae, self.unet, *([self.second.model] if self.second else [])]
        held = [next(network.parameters()).dtype for network in networks]
        narrow = self.dtype, self.vae_dtype
        self.dtype = self.vae_dtype = torch.float32
        self.forget_prompts()
        try:
            for network in networks:
                network.float()
            yield
        except torch.OutOfMemoryError:
            raise InputError("no room to compute in float32 what is not finite: expected a larger device") from None
        finally:
            for network, dtype in zip(networks, held, strict=True):
                network.to(dtype)
            self.dtype, self.vae_dtype = narrow
            self.forget_prompts()

    @torch.inference_mode()
    @without_tf32()
    def record(self, latents: Tensor, condition: Condition, layers: Layers, early_exit: bool = True) -> Record:
        """One pass over noised latents (B, C, h, w), which ends after the last recorded layer if `early_exit`."""
        with Recording(self.unet, layers, on_complete=end_pass if early_exit else None) as recording:
            with suppress(PassEnded):
                self.unet(
                    latents,
                    self.row.timestep,
                    encoder_hidden_states=condition.embeddings,
                    added_cond_kwargs=condition.added or None,
                )
            return recording.take()

    @torch.inference_mode()
    @without_tf32()
    def heads(self, latents: Tensor, condition: Condition, timestep: int) -> list[list[Head]]:
        """Single self-attention heads of each of B images by one pass over noised latents; see `Backbone.heads`."""
        layers = {name: list(range(count)) for name, count in self.row.head_layers.items()}
        with HeadRecording(self.unet, layers, end_pass) as recording:
            with suppress(PassEnded):
                self.unet(
                    latents,
                    timestep,
                    encoder_hidden_states=condition.embeddings,
                    added_cond_kwargs=condition.added or None,
                )
            return recording.take_heads()

    def compile(self) -> None:
        """Let torch.compile work on the UNet's residual and feed-forward blocks and, off the CPU, the VAE's encoder.

        On the CPU the encoder stays in strips, which take less time and memory. The first image of each batch size then
        takes minutes. Raises InputError for mixed precision, whose weights are widened anew in every pass.
        """
        from diffusers.models.attention import FeedForward
        from diffusers.models.resnet import ResnetBlock2D

        if any(weight.dtype != self.dtype for weight in self.unet.parameters()):
            raise InputError("compile needs weights of one precision: expected dtype float32, float16 or bfloat16")
        if self.device.type != "cpu":
            self.vae.encoder.compile(dynamic=False)
        for module in self.unet.modules():
            if isinstance(module, (ResnetBlock2D, FeedForward)):
                module.compile(dynamic=False)


def check_layers(unet: nn.Module, row: BackboneRow) -> None:
    """Raises InputError naming the first layer of the table that the UNet lacks or that has another head count."""
    kinds = [("attn2", layers) for layers in row.cross_layers.values()]
    kinds += [("attn1", row.self_layers), ("attn1", row.head_layers)]
    for kind, layers in kinds:
        for layer, heads in layers.items():
            found = attention_module(unet, layer, kind).heads
            if found != heads:
                raise InputError(f"layer {layer} has {found} heads, the table of {row.name} says {heads}")
