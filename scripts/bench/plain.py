"""The plain path that ratios refer to: the method as one would first write it, nothing left out, nothing saved.

The whole model in float32 with its decoder, a full UNet pass in which every attention layer's probabilities are
computed explicitly and kept, clustering by loops over prototypes and clusters, dense steps for the rest. It runs on
the device that is measured, with torch's settings as they come (on CUDA: convolutions in TF32).
"""

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from iseg import prompt
from iseg.backbones.recording import attention_module
from iseg.backbones.table import BackboneRow
from iseg.backbones.vae import load_vae
from iseg.prompt import ClassWord
from iseg.recipe import Recipe
from scripts.bench.peaks import synchronize


class KeepAll:
    """An attention processor that computes probabilities explicitly and keeps them, (B, heads, queries, keys)."""

    def __init__(self) -> None:
        self.kept: Tensor | None = None

    def __call__(
        self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Tensor | None = None, **_: Any
    ) -> Tensor:
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query, key, value = (
            layer(x).unflatten(-1, (attn.heads, -1)).transpose(1, 2)  # (B, heads, n, d)
            for layer, x in ((attn.to_q, hidden_states), (attn.to_k, context), (attn.to_v, context))
        )
        self.kept = (query @ key.transpose(-1, -2) * attn.scale).softmax(-1)
        return attn.to_out[0]((self.kept @ value).transpose(1, 2).flatten(2))


class PlainPath:
    """Loaded model; `run` gives the seconds of each stage of one image."""

    def __init__(self, folder: Path, row: BackboneRow, recipe: Recipe, device: torch.device) -> None:
        self.row, self.recipe, self.device = row, recipe, device
        self.tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
        self.text_encoder = CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.float32)
        self.unet = UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=torch.float32)
        own = "PatchAutoencoder" in (folder / "vae" / "config.json").read_text(encoding="utf-8")
        self.vae: Any = (
            load_vae(folder / "vae", torch.float32) if own else AutoencoderKL.from_pretrained(folder / "vae")
        )
        self.scheduler = DDIMScheduler.from_pretrained(folder / "scheduler")
        self.processors: dict[str, KeepAll] = {}
        for name, module in self.unet.named_modules():
            if name.endswith(("attn1", "attn2")):
                self.processors[name] = KeepAll()
                module.set_processor(self.processors[name])
        for model in (self.text_encoder, self.unet, self.vae):
            model.to(device).eval().requires_grad_(False)

    @torch.inference_mode()
    def run(self, image: NDArray[np.uint8], words: list[str]) -> dict[str, float]:
        synchronize(self.device)
        marks = [time.perf_counter()]
        stages: dict[str, float] = {}

        def done(stage: str) -> None:
            synchronize(self.device)
            marks.append(time.perf_counter())
            stages[stage] = marks[-1] - marks[-2]

        classes = [ClassWord(word) for word in words]
        ids, spans = prompt.tokenize(self.tokenizer, prompt.build(self.recipe.prompt, classes, self.recipe.context))
        text = prompt.enhance(
            self.text_encoder(self.tensor([ids])).last_hidden_state[0], spans, self.recipe.enhancement
        )
        done("text")
        pixels = torch.from_numpy(image).to(self.device).permute(2, 0, 1)[None].float() / 127.5 - 1
        side = self.row.image_size
        latents = self.vae.encode(F.interpolate(pixels, (side, side), mode="bilinear")).latent_dist.mean
        done("encode")
        noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(self.row.noise_seed)).to(self.device)
        timestep = self.tensor([self.row.timestep])
        noisy = self.scheduler.add_noise(latents * self.vae.config.scaling_factor, noise, timestep)
        self.unet(noisy, timestep, text[None])
        done("unet")
        tokens, attention = self.maps(latents.shape[-1])
        done("fuse")
        if self.recipe.cluster:
            pool_(tokens, loop_clusters(tokens, self.recipe.cluster_rounds, self.recipe.cluster_stride))
        columns = torch.stack([tokens[:, span].mean(1) for span in spans], 1)
        done("cluster")
        matrix = plain_entropy(attention, self.recipe.entropy)
        done("entropy")
        for _ in range(self.recipe.iterations):
            columns = columns - columns.amin(0)
            columns = matrix @ (columns / columns.sum(0))
        done("refine")
        scores = F.interpolate(
            columns.T.reshape(1, len(words), latents.shape[-2], -1), image.shape[:2], mode="bilinear"
        )[0]
        scores = scores / scores.amax((1, 2), keepdim=True)
        torch.cat([(1 - scores.amax(0, keepdim=True)) ** 2, scores]).argmax(0)
        done("decide")
        return {**stages, "total": marks[-1] - marks[0]}

    def tensor(self, values: list[Any]) -> Tensor:
        """Integers on the device."""
        return torch.tensor(values, device=self.device)

    def maps(self, side: int) -> tuple[Tensor, Tensor]:
        """Token maps (HW, L) and self-attention (HW, HW), means over all kept heads of the table's layers."""
        tokens: Any = 0
        for resolution, weight in self.recipe.cross_weights.items():
            layers = self.row.cross_layers[resolution]
            mean = torch.cat([self.kept(layer, "attn2") for layer in layers]).mean(0)  # (r r, L)
            grid = mean.T.reshape(1, -1, resolution, resolution)
            grid = grid / grid.sum((2, 3), keepdim=True)
            tokens = tokens + weight * F.interpolate(grid, (side, side), mode="bilinear")[0]
        attention = torch.cat([self.kept(layer, "attn1") for layer in self.row.self_layers]).mean(0)
        return tokens.flatten(1).T.contiguous(), attention

    def kept(self, layer: str, kind: str) -> Tensor:
        """Probabilities (heads, queries, keys) of one layer."""
        module: nn.Module = attention_module(self.unet, layer, kind)
        processor: Any = module.processor
        return processor.kept[0]


def loop_clusters(tokens: Tensor, rounds: int, stride: int) -> Tensor:
    """k-means under the symmetric KL distance, prototype by prototype and cluster by cluster: labels (HW,)."""
    side = round(len(tokens) ** 0.5)
    prototypes = tokens.reshape(side, side, -1)[::stride, ::stride].flatten(0, 1)
    labels = torch.zeros(len(tokens), dtype=torch.long, device=tokens.device)
    for _ in range(rounds):
        distances = []
        for prototype in prototypes:
            ratio = ((tokens + 1e-5) / (prototype + 1e-5)).log()
            distances.append(0.5 * (((tokens + 1e-5) * ratio).sum(1) - ((prototype + 1e-5) * ratio).sum(1)))
        labels = torch.stack(distances, 1).argmin(1)
        prototypes = torch.stack([tokens[labels == label].mean(0) for label in labels.unique()])
    return labels


def pool_(tokens: Tensor, labels: Tensor) -> None:
    """Replace each position's tokens (HW, L) by the mean of its cluster."""
    for label in labels.unique():
        tokens[labels == label] = tokens[labels == label].mean(0)


def plain_entropy(attention: Tensor, weight: float) -> Tensor:
    """Entropy reduction with a new matrix at every step."""
    relative = attention / attention.amax(0)
    step = torch.where(relative > 0, weight * (torch.e * relative).log10(), torch.zeros_like(relative))
    reduced = (relative + step).clamp(min=0)
    return reduced / reduced.sum(1, keepdim=True)
