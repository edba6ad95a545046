"""A full-size Stable Diffusion 2.1 with random weights, in a folder: speed can be measured without any weights."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from iseg.settings import configs_folder

PARTS = {"unet": "diffusion_pytorch_model", "vae": "diffusion_pytorch_model", "text_encoder": "model"}


def build_on_meta(part: str, config: dict[str, Any]) -> nn.Module:
    """One component without memory for its weights."""
    with torch.device("meta"):
        if part == "unet":
            return UNet2DConditionModel.from_config(config)
        if part == "vae":
            return AutoencoderKL.from_config(config)
        return CLIPTextModel(CLIPTextConfig(**config))


def random_weight(name: str, shape: torch.Size, generator: torch.Generator) -> torch.Tensor:
    """Float32 values that keep activations of order 1: norms are the identity, biases zero."""
    if name.endswith("bias"):
        return torch.zeros(shape)
    if len(shape) == 1:
        return torch.ones(shape)
    width = math.prod(shape[1:])
    return torch.empty(shape).uniform_(-1, 1, generator=generator) * math.sqrt(3 / width)


def ensure_random_model(folder: Path) -> Path:
    """`folder` with a random SD 2.1 in diffusers format, float32 as on the hub (5.2 GB); made once."""
    if (folder / "complete").is_file():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    source = configs_folder() / "backbones" / "sd21-base"
    generator = torch.Generator().manual_seed(0)
    for part, file in PARTS.items():
        config = json.loads((source / part / "config.json").read_text(encoding="utf-8"))
        shapes = build_on_meta(part, config).state_dict()
        state = {name: random_weight(name, value.shape, generator) for name, value in shapes.items()}
        (folder / part).mkdir(parents=True)
        save_file(state, folder / part / f"{file}.safetensors", metadata={"format": "pt"})
        (folder / part / "config.json").write_text(json.dumps(config), encoding="utf-8")
    shutil.copytree(source / "scheduler", folder / "scheduler")
    # any CLIP tokenizer will do: token ids only choose rows of a random table
    embedded = Path(__file__).parents[2] / "iseg" / "models" / "tiny" / "tokenizer"
    CLIPTokenizer.from_pretrained(embedded, pad_token="!").save_pretrained(folder / "tokenizer")
    (folder / "complete").touch()
    return folder
