"""A model in one `.safetensors` file with the original (LDM) names -> the parts of a diffusers folder."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from iseg.backbones.build import build, fill
from iseg.backbones.family import TEXT_PREFIXES, detect_family
from iseg.backbones.text import text_encoder
from iseg.backbones.vae import kl_encoder
from iseg.errors import InputError

PREFIXES = {"unet": "model.diffusion_model.", "vae": "first_stage_model."}
DECODER = ("first_stage_model.decoder.", "first_stage_model.post_quant_conv.")


def load_file(
    path: Path, architecture: Sequence[Path], dtype: torch.dtype, vae_dtype: torch.dtype | None = None
) -> dict[str, Any]:
    """Text encoders, UNet, VAE encoder and scheduler out of one file.

    Args:
        path: checkpoint of Stable Diffusion 1.x, 2.x or XL with LDM names.
        architecture: folders with `unet/config.json`, `vae/config.json`, `text_encoder/config.json` and
            `scheduler/scheduler_config.json` of the model that the file holds; each from the first that has it.
        dtype, vae_dtype: of the loaded weights; the VAE's is `dtype` if None.

    Raises InputError for a file that is not safetensors, lacks a part or does not fit the architecture.
    """
    from diffusers import DDIMScheduler

    text = TEXT_PREFIXES.get(detect_family(path) or "", {"text_encoder": TEXT_PREFIXES["sd2"]["text_encoder"]})
    state = _read(path, {**PREFIXES, **text}, {"vae": vae_dtype or dtype}, dtype)
    try:
        parts: dict[str, Any] = {
            name: _text_encoder(state[name], _config(architecture, name), prefix, f"{name} of {path}")
            for name, prefix in text.items()
        }
        parts["unet"] = _unet(state["unet"], _config(architecture, "unet"), f"unet of {path}")
        parts["vae"] = _vae(state["vae"], _config(architecture, "vae"), f"vae of {path}")
        scheduler = _folder(architecture, "scheduler", "scheduler_config.json") / "scheduler"
        return {**parts, "scheduler": DDIMScheduler.from_pretrained(scheduler)}
    except (RuntimeError, KeyError) as error:  # of the converters, for a tensor that they look for
        detail = " ".join(str(error).split())[:200]
        raise InputError(f"{path} does not hold the model described in {architecture[0]}: {detail}") from None


def _folder(architecture: Sequence[Path], part: str, file: str = "config.json") -> Path:
    for folder in architecture:
        if (folder / part / file).is_file():
            return folder
    raise InputError(f"no {part}/{file} in {', '.join(map(str, architecture))}")


def _config(architecture: Sequence[Path], part: str) -> dict[str, Any]:
    return json.loads((_folder(architecture, part) / part / "config.json").read_text(encoding="utf-8"))


def _read(
    path: Path, prefixes: dict[str, str], dtypes: dict[str, torch.dtype], dtype: torch.dtype
) -> dict[str, dict[str, Tensor]]:
    """{part: {name: tensor}} of the parts that are used; the decoder is not read."""
    state: dict[str, dict[str, Tensor]] = {part: {} for part in prefixes}
    try:
        with safe_open(path, "pt") as file:
            for name in file.keys():
                part = next((part for part, prefix in prefixes.items() if name.startswith(prefix)), None)
                if part is not None and not name.startswith(DECODER):
                    state[part][name] = file.get_tensor(name).to(dtypes.get(part, dtype))
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is not a readable .safetensors file: {error}") from None
    for part, prefix in prefixes.items():
        if not state[part]:
            raise InputError(
                f"{path} has no {part} (no key starts with {prefix!r}): expected Stable Diffusion 1.x, 2.x or XL"
            )
    return state


def _unet(state: dict[str, Tensor], config: dict[str, Any], what: str) -> nn.Module:
    from diffusers import UNet2DConditionModel
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

    unet = build(UNet2DConditionModel, config)
    fill(unet, convert_ldm_unet_checkpoint(state, config), what)
    return unet


def _vae(state: dict[str, Tensor], config: dict[str, Any], what: str) -> nn.Module:
    from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint

    return kl_encoder(config, convert_ldm_vae_checkpoint(state, config), what)


def _text_encoder(state: dict[str, Tensor], config: dict[str, Any], prefix: str, what: str) -> nn.Module:
    from diffusers.loaders.single_file_utils import convert_open_clip_checkpoint
    from transformers import CLIPTextConfig

    projection = what.startswith("text_encoder_2 ")
    if prefix.endswith(".model."):  # OpenCLIP's names
        owner = nn.Module()
        owner.config = CLIPTextConfig(**config)  # type: ignore[assignment]  # all that the converter looks at
        state = convert_open_clip_checkpoint(owner, state, prefix)
    else:
        state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return text_encoder(config, state, what, projection)
