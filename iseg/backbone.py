"""A loaded backbone: image -> latents, prompt -> embeddings, one noised UNet pass's inputs (method step 1)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from iseg.attention import attention_module
from iseg.config import Backbone, configs_folder
from iseg.errors import InputError
from iseg.single_file import load_file
from iseg.vae import load_vae
from iseg.weights import check_folder, locate, locate_tokenizer


@dataclass
class Components:
    """The parts of a diffusion model that iseg uses, on one device in one dtype."""

    backbone: Backbone
    source: str  # where the weights came from
    tokenizer: Any
    text_encoder: nn.Module
    vae: Any  # encoder only
    unet: nn.Module
    scheduler: Any
    device: torch.device
    dtype: torch.dtype

    def encode(self, images: Tensor) -> Tensor:
        """Images (B, 3, S, S) float32 in [0, 1] -> latents (B, C, h, w): posterior mean times the scaling factor."""
        scaled = (2 * images - 1).to(self.device, self.dtype)
        return self.vae.encode(scaled).latent_dist.mean * self.vae.config.scaling_factor

    def add_noise(self, latents: Tensor) -> Tensor:
        """Latents (B, C, h, w) with the backbone's fixed noise at its timestep.

        The noise is drawn on the CPU so that every device sees the same; it is the same for every image.
        """
        generator = torch.Generator("cpu").manual_seed(self.backbone.noise_seed)
        noise = torch.randn((1, *latents.shape[1:]), generator=generator).to(latents)
        timestep = torch.tensor([self.backbone.timestep], device=latents.device)
        return self.scheduler.add_noise(latents, noise, timestep)

    def embed(self, ids: list[int]) -> Tensor:
        """Token ids (L) -> last hidden states of the text encoder (L, D)."""
        return self.text_encoder(torch.tensor([ids], device=self.device)).last_hidden_state[0]


def pick_device(device: str | torch.device = "auto") -> torch.device:
    """Where to compute; "auto" takes cuda, then mps, then cpu. Raises InputError for a device that is not there."""
    if device == "auto":
        return torch.device(
            "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        )
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError):
        raise InputError(f"device {str(device)!r} cannot be used here: expected auto, cpu, cuda or mps") from None
    return chosen


def pick_dtype(dtype: str | torch.dtype, device: torch.device) -> torch.dtype:
    """Precision of weights and activations; "auto" is float16 on cuda, else float32. Raises InputError if unknown."""
    if dtype == "auto":
        return torch.float16 if device.type == "cuda" else torch.float32
    names = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
    chosen = names.get(str(dtype).removeprefix("torch."))
    if chosen is None:
        raise InputError(f"dtype {str(dtype)!r} is not known: expected auto, {', '.join(names)}")
    return chosen


def load(backbone: Backbone, device: str | torch.device = "auto", dtype: str | torch.dtype = "auto") -> Components:
    """Load the weights of a backbone (safetensors only; the VAE's decoder never) and check its layers.

    Raises InputError for weights that cannot be had or read, and for layers or head counts that differ from the table.
    """
    chosen_device = pick_device(device)
    chosen_dtype = pick_dtype(dtype, chosen_device)
    place = locate(backbone)
    parts = _from_file(place, backbone, chosen_dtype) if place.is_file() else _from_folder(place, chosen_dtype)
    for name in ("text_encoder", "vae", "unet"):
        parts[name].to(chosen_device).eval().requires_grad_(False)
    check_layers(parts["unet"], backbone)
    return Components(backbone=backbone, source=str(place), device=chosen_device, dtype=chosen_dtype, **parts)


def _from_folder(folder: Path, dtype: torch.dtype) -> dict[str, Any]:
    from diffusers import DDIMScheduler, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTokenizer

    check_folder(folder)
    try:
        return {
            "tokenizer": CLIPTokenizer.from_pretrained(folder / "tokenizer"),
            "text_encoder": CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=dtype, use_safetensors=True),
            "unet": UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=dtype, use_safetensors=True),
            "vae": load_vae(folder / "vae", dtype),
            "scheduler": DDIMScheduler.from_pretrained(folder / "scheduler"),
        }
    except InputError:
        raise
    except Exception as error:  # loaders raise many types; each means that this folder cannot be used
        raise InputError(f"{folder} cannot be loaded: {' '.join(str(error).split())[:300]}") from error


def _from_file(path: Path, backbone: Backbone, dtype: torch.dtype) -> dict[str, Any]:
    from transformers import CLIPTokenizer

    architecture = configs_folder() / "backbones" / backbone.name
    if not architecture.is_dir():
        raise InputError(f"{path}: a single file can be read for sd21-base only, {backbone.name} needs a folder")
    parts = load_file(path, architecture, dtype)
    return {**parts, "tokenizer": CLIPTokenizer.from_pretrained(locate_tokenizer(path, backbone))}


def check_layers(unet: nn.Module, backbone: Backbone) -> None:
    """Raises InputError naming the first layer of the table that the UNet lacks or that has another head count."""
    kinds = [("attn2", layers) for layers in backbone.cross_layers.values()] + [("attn1", backbone.self_layers)]
    for kind, layers in kinds:
        for layer, heads in layers.items():
            found = attention_module(unet, layer, kind).heads
            if found != heads:
                raise InputError(f"layer {layer} has {found} heads, the table of {backbone.name} says {heads}")
