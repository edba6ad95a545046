"""A model in one `.safetensors` file with the original (LDM) names -> the parts of a diffusers folder."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from iseg.backbones.vae import kl_encoder
from iseg.errors import InputError

PREFIXES = {"unet": "model.diffusion_model.", "vae": "first_stage_model.", "text_encoder": "cond_stage_model.model."}
DECODER = ("first_stage_model.decoder.", "first_stage_model.post_quant_conv.")


def load_file(path: Path, architecture: Path, dtype: torch.dtype) -> dict[str, Any]:
    """Text encoder, UNet, VAE encoder and scheduler out of one file.

    Args:
        path: Stable Diffusion 2 checkpoint with LDM names.
        architecture: folder with `unet/config.json`, `vae/config.json`, `text_encoder/config.json` and
            `scheduler/scheduler_config.json` of the model that the file holds.
        dtype: of the loaded weights.

    Raises InputError for a file that is not safetensors, lacks a part or does not fit the architecture.
    """
    from diffusers import DDIMScheduler

    state = _read(path, dtype)
    configs = {part: json.loads((architecture / part / "config.json").read_text(encoding="utf-8")) for part in PREFIXES}
    try:
        return {
            "text_encoder": _text_encoder(state, configs["text_encoder"]),
            "unet": _unet(state, configs["unet"]),
            "vae": _vae(state, configs["vae"]),
            "scheduler": DDIMScheduler.from_pretrained(architecture / "scheduler"),
        }
    except (RuntimeError, KeyError) as error:
        detail = " ".join(str(error).split())[:200]
        raise InputError(f"{path} does not hold the model described in {architecture}: {detail}") from None


def _read(path: Path, dtype: torch.dtype) -> dict[str, Tensor]:
    try:
        with safe_open(path, "pt") as file:
            names = list(file.keys())
            used = [
                name for name in names if name.startswith(tuple(PREFIXES.values())) and not name.startswith(DECODER)
            ]
            state = {name: file.get_tensor(name).to(dtype) for name in used}
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is not a readable .safetensors file: {error}") from None
    for part, prefix in PREFIXES.items():
        if not any(name.startswith(prefix) for name in state):
            raise InputError(
                f"{path} has no {part} (no key starts with {prefix!r}): expected a Stable Diffusion 2 file"
            )
    return state


def _unet(state: dict[str, Tensor], config: dict[str, Any]) -> nn.Module:
    from diffusers import UNet2DConditionModel
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(config)
    unet.load_state_dict(convert_ldm_unet_checkpoint(state, config), assign=True)
    return unet


def _vae(state: dict[str, Tensor], config: dict[str, Any]) -> nn.Module:
    from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint

    return kl_encoder(config, convert_ldm_vae_checkpoint(state, config))


def _text_encoder(state: dict[str, Tensor], config: dict[str, Any]) -> nn.Module:
    from diffusers.loaders.single_file_utils import convert_open_clip_checkpoint
    from transformers import CLIPTextConfig, CLIPTextModel

    with torch.device("meta"):
        encoder = CLIPTextModel(CLIPTextConfig(**config))
    converted = convert_open_clip_checkpoint(encoder, state, PREFIXES["text_encoder"])
    wanted = encoder.state_dict()
    # newer versions of transformers hold the layers without the prefix
    renamed = {name if name in wanted else name.removeprefix("text_model."): value for name, value in converted.items()}
    encoder.load_state_dict({name: value for name, value in renamed.items() if name in wanted}, assign=True)
    _count_positions(encoder)
    return encoder


def _count_positions(encoder: nn.Module) -> None:
    """Give a text encoder built on "meta" the one buffer that no file holds: position ids (1, L), 0..L-1.

    Raises RuntimeError for any other buffer that is left without values.
    """
    for name, buffer in list(encoder.named_buffers()):
        if not buffer.is_meta:
            continue
        owner, _, own = name.rpartition(".")
        if own != "position_ids":
            raise RuntimeError(f"nothing gives the text encoder's buffer {name} its values")
        setattr(encoder.get_submodule(owner), own, torch.arange(buffer.shape[-1]).expand(buffer.shape))
