"""The image encoder of a diffusers VAE folder; its decoder is never built or read."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

from iseg.errors import InputError

# names of the attention projections in folders written before diffusers 0.17, as on the hub
OLD_NAMES = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}


def load_vae(folder: Path, dtype: torch.dtype) -> nn.Module:
    """An autoencoder whose `encode` works: AutoencoderKL, or the embedded model's PatchAutoencoder."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    name = config.get("_class_name")
    if name == "PatchAutoencoder":
        from iseg.models.patch_autoencoder import PatchAutoencoder

        return PatchAutoencoder.from_pretrained(folder, torch_dtype=dtype, use_safetensors=True)
    if name != "AutoencoderKL":
        raise InputError(f"{folder}: VAE class {name!r} is not known: expected AutoencoderKL")
    weights = min(folder.glob("*.safetensors"))
    with safe_open(weights, "pt") as file:
        used = [key for key in file.keys() if key.startswith(("encoder.", "quant_conv."))]
        state = {_new_name(key): file.get_tensor(key).to(dtype) for key in used}
    return kl_encoder(config, state)


def kl_encoder(config: dict[str, Any], state: dict[str, Tensor]) -> nn.Module:
    """AutoencoderKL without its decoder, from a configuration and the weights of its encoder."""
    from diffusers import AutoencoderKL

    with torch.device("meta"):
        vae = AutoencoderKL.from_config(config)
    del vae.decoder, vae.post_quant_conv
    wanted = vae.state_dict()
    for key, tensor in state.items():
        # old folders hold the projections of the attention as 1x1 convolutions
        if key in wanted and tensor.shape != wanted[key].shape and tensor.numel() == wanted[key].numel():
            state[key] = tensor.reshape(wanted[key].shape)
    vae.load_state_dict(state, assign=True)
    return vae


def _new_name(key: str) -> str:
    parts = key.split(".")
    if "attentions" in parts:
        parts = [OLD_NAMES.get(part, part) for part in parts]
    return ".".join(parts)
