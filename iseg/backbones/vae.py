"""The image encoder of a diffusers VAE folder; its decoder is never built or read."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from iseg.backbones.build import build, fill
from iseg.backbones.read import read_tensors, weight_files
from iseg.errors import InputError, echo
from iseg.texts import exists

TINY_VAES = {None: "madebyollin/taesd", "sdxl": "madebyollin/taesdxl"}  # what "taesd" is for a family
# names of the attention projections in folders written before diffusers 0.17, as on the hub
OLD_NAMES = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}


def load_vae(folder: Path, dtype: torch.dtype) -> nn.Module:
    """An autoencoder whose `encode` works: AutoencoderKL, or the embedded model's PatchAutoencoder."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    name = config.get("_class_name")
    files = weight_files(folder, dtype == torch.float16)
    if name == "PatchAutoencoder":
        from iseg.backbones.patch_autoencoder import PatchAutoencoder

        patches = build(PatchAutoencoder, config)
        fill(patches, read_tensors(files, dtype), f"vae of {folder.parent}")
        return patches
    if name != "AutoencoderKL":
        raise InputError(f"{folder}: VAE class {echo(name)} is not known: expected AutoencoderKL")
    state = read_tensors(files, dtype, ("encoder.", "quant_conv."))
    return kl_encoder(config, {_new_name(key): tensor for key, tensor in state.items()}, f"vae of {folder.parent}")


def load_tiny_vae(source: str | Path, dtype: torch.dtype, channels: int = 4, family: str | None = None) -> nn.Module:
    """AutoencoderTiny from "taesd", a hub id or a folder, for a UNet that takes latents of `channels`.

    "taesd" is the hub's copy that goes with the family. Raises InputError if it cannot be had or makes other latents.

    It is distilled from Stable Diffusion's VAE and about thirty times cheaper; the masks differ a little.
    """
    from diffusers import AutoencoderTiny

    place = TINY_VAES.get(family, TINY_VAES[None]) if str(source) == "taesd" else str(source)
    if not exists(place) and place.count("/") != 1:
        raise InputError(f"vae {echo(str(source))}: no such folder: expected taesd or a folder with an AutoencoderTiny")
    try:
        vae, told = AutoencoderTiny.from_pretrained(
            place, torch_dtype=dtype, use_safetensors=True, output_loading_info=True
        )
    except Exception as error:  # loaders raise many types; each means that it cannot be used
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"vae {echo(str(source))}: expected taesd or a folder with an AutoencoderTiny ({reason})"
        ) from None
    lacking = sorted(name for name in told["missing_keys"] if name.startswith("encoder."))
    if lacking:  # the library fills them with random numbers
        raise InputError(f"vae {echo(str(source))} lacks {len(lacking)} tensors, the first is {lacking[0]}")
    made = vae.config["latent_channels"]
    if made != channels:
        raise InputError(f"vae {echo(str(source))} makes latents of {made} channels: the model takes {channels}")
    del vae.decoder
    return vae


def latents_of(vae: Any, images: Tensor) -> Tensor:
    """Images (B, 3, S, S) in [-1, 1] -> latents (B, C, h, w) as the UNet takes them."""
    encoded = vae.encode(images)
    # the posterior's mean; AutoencoderTiny has no posterior
    mean = encoded.latent_dist.mean if hasattr(encoded, "latent_dist") else encoded.latents
    return mean * vae.config.scaling_factor


def kl_encoder(config: dict[str, Any], state: dict[str, Tensor], what: str = "vae") -> nn.Module:
    """AutoencoderKL without its decoder, from a configuration and the weights of its encoder.

    what: the part, for messages. Raises InputError for a tensor that is missing or of another shape.
    """
    from diffusers import AutoencoderKL
    from diffusers.models.resnet import ResnetBlock2D

    vae = build(AutoencoderKL, config)
    del vae.decoder, vae.post_quant_conv
    wanted = vae.state_dict()
    for key, tensor in state.items():
        # old folders hold the projections of the attention as 1x1 convolutions
        if key in wanted and tensor.shape != wanted[key].shape and tensor.numel() == wanted[key].numel():
            state[key] = tensor.reshape(wanted[key].shape)
    fill(vae, state, what)
    for module in vae.modules():
        if isinstance(module, ResnetBlock2D):  # its input is a norm's output, which nothing else needs
            module.nonlinearity = nn.SiLU(inplace=True)
    return vae


def _new_name(key: str) -> str:
    parts = key.split(".")
    if "attentions" in parts:
        parts = [OLD_NAMES.get(part, part) for part in parts]
    return ".".join(parts)
