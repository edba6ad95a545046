"""Files in the original layout of Stable Diffusion 1.x and XL give what their diffusers folders give."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from family_models import small_row, write_model
from safetensors.torch import load_file, save_file
from test_single_file import TEXT_NAMES, VAE_NAMES, renamed, unet_name, with_joined_projections

from iseg import prompt
from iseg.backbones.load import load
from iseg.backbones.table import with_sources
from iseg.errors import InputError
from iseg.prompt import class_words

ATTENTION = [(r"\.to_q\.", ".q."), (r"\.to_k\.", ".k."), (r"\.to_v\.", ".v."), (r"\.to_out\.0\.", ".proj_out.")]
XL_NAMES = [
    (r"^add_embedding\.linear_1", "label_emb.0.0"),
    (r"^add_embedding\.linear_2", "label_emb.0.2"),
    (r"^output_blocks\.2\.1\.conv", "output_blocks.2.2.conv"),  # after the attention, which SD 1.x has not there
]


def part(folder: Path, name: str) -> dict[str, torch.Tensor]:
    return load_file(next((folder / name).glob("*.safetensors")))


def write_file(folder: Path, path: Path, sdxl: bool) -> Path:
    state = {
        f"model.diffusion_model.{renamed(unet_name(name), XL_NAMES if sdxl else [])}": value
        for name, value in part(folder, "unet").items()
    }
    vae = part(folder, "vae").items()
    state |= {f"first_stage_model.{renamed(name, VAE_NAMES + ATTENTION)}": value for name, value in vae}
    first = "conditioner.embedders.0.transformer." if sdxl else "cond_stage_model.transformer."
    text = part(folder, "text_encoder").items()
    state |= {f"{first}text_model.{name.removeprefix('text_model.')}": value for name, value in text}
    if sdxl:
        second = {renamed(name, TEXT_NAMES): value for name, value in part(folder, "text_encoder_2").items()}
        second["text_projection"] = second.pop("text_projection.weight").T
        joined = with_joined_projections({name: v for name, v in second.items() if name != "text_projection"})
        joined["text_projection"] = second["text_projection"]
        state |= {f"conditioner.embedders.1.model.{name}": value for name, value in joined.items()}
    save_file({name: value.contiguous() for name, value in state.items()}, path)
    shutil.copytree(folder / "tokenizer", path.parent / "tokenizer")
    return path


@pytest.mark.parametrize("name", ["sd15", "sdxl"])
@torch.inference_mode()
def test_a_file_is_its_folder(name, tmp_path, monkeypatch):
    folder = write_model(tmp_path / "backbones" / name, name)
    (tmp_path / "file").mkdir()
    file = write_file(folder, tmp_path / "file" / "model.safetensors", name == "sdxl")
    row = replace(small_row(name), architecture=[name])
    expected = load(with_sources(row, [str(folder)]), "cpu", "float32")
    monkeypatch.setattr("iseg.backbones.load.configs_folder", lambda: tmp_path)
    found = load(with_sources(row, [str(file)]), "cpu", "float32")
    for one, other in ((found.unet, expected.unet), (found.vae, expected.vae)):
        own, wanted = one.state_dict(), other.state_dict()
        assert own.keys() == wanted.keys()
        assert all(torch.equal(own[key], wanted[key]) for key in own)
    asked = [prompt.build("a photograph of {classes}", class_words(["cat", "dog"]), "", 1.6)]
    ours, theirs = found.condition(asked), expected.condition(asked)
    assert torch.equal(ours.embeddings, theirs.embeddings)
    assert ours.added.keys() == theirs.added.keys()
    assert all(torch.equal(ours.added[key], theirs.added[key]) for key in ours.added)
    with pytest.raises(InputError, match=r"looks like Stable Diffusion .* use --backbone"):
        load(with_sources(small_row("sd21-base"), [str(file)]), "cpu")


@pytest.mark.parametrize("name", ["sd15", "sd21-base", "sd-turbo", "sdxl"])
def test_the_table_holds_what_a_file_needs(name):
    """The real architectures, on "meta": their sizes are the published ones."""
    from diffusers import UNet2DConditionModel

    from iseg.backbones.build import build
    from iseg.backbones.single_file import _config
    from iseg.backbones.table import load_row
    from iseg.backbones.unet import check_layers
    from iseg.settings import configs_folder

    row = load_row(name)
    folders = [configs_folder() / "backbones" / each for each in row.architecture or [name]]
    unet: Any = build(UNet2DConditionModel, _config(folders, "unet"))
    check_layers(unet, row)
    millions = {"sd15": 860, "sd21-base": 866, "sd-turbo": 866, "sdxl": 2567}
    assert round(sum(weight.numel() for weight in unet.parameters()) / 1e6) == millions[name]
    widths = [_config(folders, "text_encoder")["hidden_size"]]
    if name == "sdxl":
        widths.append(_config(folders, "text_encoder_2")["hidden_size"])
        assert _config(folders, "vae")["scaling_factor"] == 0.13025
    assert sum(widths) == unet.config["cross_attention_dim"]
