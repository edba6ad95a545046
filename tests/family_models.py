"""Small random models in the shape of each family: their block names, block counts and heads, few channels."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
import yaml
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from iseg.backbones.table import BackboneRow, load_row

TOKENIZER = Path(__file__).parent.parent / "iseg" / "models" / "tiny" / "tokenizer"
SHRINK = {"sd15": 8, "sd21-base": 8, "sd-turbo": 8, "sdxl": 8}  # the images are so many times smaller than the row's
FAMILY_ROWS = list(SHRINK)
WIDTHS = (24, 40)  # of the text encoders

CROSS, PLAIN = "CrossAttn{}Block2D", "{}Block2D"
UNETS: dict[str, dict[str, Any]] = {
    "sd15": {"attention_head_dim": 8, "block_out_channels": (16, 16, 32, 32), "use_linear_projection": False},
    "sd21-base": {
        "attention_head_dim": [5, 10, 20, 20],
        "block_out_channels": (20, 20, 40, 40),
        "use_linear_projection": True,
    },
    "sdxl": {
        "attention_head_dim": [5, 10, 20],
        "block_out_channels": (20, 20, 40),
        "transformer_layers_per_block": [1, 2, 10],
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 8,
        "projection_class_embeddings_input_dim": 6 * 8 + 12,
        "down_block_types": tuple(kind.format("Down") for kind in (PLAIN, CROSS, CROSS)),
        "up_block_types": tuple(kind.format("Up") for kind in (CROSS, CROSS, PLAIN)),
    },
}
UNETS["sd-turbo"] = UNETS["sd21-base"]


def small_row(name: str) -> BackboneRow:
    """A row of the table for images `SHRINK` times smaller: same layers, heads and order, smaller maps."""
    row, by = load_row(name), SHRINK[name]
    weights = row.recipe.get("cross_weights", {16: 0.7, 32: 0.3})
    recipe = {
        **row.recipe,
        "cross_weights": {side // by: weight for side, weight in weights.items()},
        "cross_heads": {side // by: heads for side, heads in row.recipe["cross_heads"].items()},
    }
    cross = {side // by: layers for side, layers in row.cross_layers.items()}
    return replace(row, image_size=row.image_size // by, cross_layers=cross, recipe=recipe)


def write_table(folder: Path) -> Path:
    """A `configs` folder whose table holds the small rows."""
    for name in FAMILY_ROWS:
        entries = {key: value for key, value in asdict(small_row(name)).items() if key != "name" and value is not None}
        (folder / "backbones").mkdir(parents=True, exist_ok=True)
        (folder / "backbones" / f"{name}.yaml").write_text(yaml.safe_dump(entries), encoding="utf-8")
    return folder


def text_config(width: int, layers: int, projection: int = 12) -> CLIPTextConfig:
    return CLIPTextConfig(
        hidden_size=width, intermediate_size=2 * width, num_hidden_layers=layers, num_attention_heads=4,
        vocab_size=683, max_position_embeddings=77, projection_dim=projection, bos_token_id=681, eos_token_id=682,
        pad_token_id=682, hidden_act="gelu",
    )  # fmt: skip


def write_model(folder: Path, name: str, **unet: Any) -> Path:
    """A diffusers folder of a row's family with random weights; `unet` replaces entries of its configuration."""
    torch.manual_seed(0)
    row, sdxl = load_row(name), name == "sdxl"
    settings: dict[str, Any] = {
        "down_block_types": tuple(kind.format("Down") for kind in (CROSS, CROSS, CROSS, PLAIN)),
        "up_block_types": tuple(kind.format("Up") for kind in (PLAIN, CROSS, CROSS, CROSS)),
        **UNETS[name],
        "cross_attention_dim": sum(WIDTHS) if sdxl else WIDTHS[0],
        "norm_num_groups": 4,
        **unet,
    }
    UNet2DConditionModel(sample_size=16, in_channels=4, out_channels=4, **settings).save_pretrained(folder / "unet")
    AutoencoderKL(
        block_out_channels=(8, 8, 16, 16), norm_num_groups=4, scaling_factor=0.13025 if sdxl else 0.18215,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4, layers_per_block=2,
    ).save_pretrained(folder / "vae")  # fmt: skip
    CLIPTextModel(text_config(WIDTHS[0], 3)).save_pretrained(folder / "text_encoder")
    write_tokenizer(folder / "tokenizer", row.pad_token)
    if sdxl:
        CLIPTextModelWithProjection(text_config(WIDTHS[1], 2)).save_pretrained(folder / "text_encoder_2")
        write_tokenizer(folder / "tokenizer_2", row.pad_token_2)
    DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False,
                  set_alpha_to_one=False, steps_offset=1).save_pretrained(folder / "scheduler")  # fmt: skip
    return folder


def write_tokenizer(folder: Path, pad: str | None) -> None:
    CLIPTokenizer.from_pretrained(TOKENIZER, pad_token=pad).save_pretrained(folder)
