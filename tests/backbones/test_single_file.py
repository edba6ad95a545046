"""A model in one file with the original names gives what its diffusers folder gives."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from iseg.backbones.load import load
from iseg.backbones.single_file import load_file as load_single_file
from iseg.backbones.table import load_row, with_sources
from iseg.errors import InputError

Names = list[tuple[str, str]]

UNET_NAMES: Names = [
    (r"^time_embedding\.linear_1", "time_embed.0"),
    (r"^time_embedding\.linear_2", "time_embed.2"),
    (r"^conv_in", "input_blocks.0.0"),
    (r"^conv_norm_out", "out.0"),
    (r"^conv_out", "out.2"),
    (r"^mid_block\.resnets\.0", "middle_block.0"),
    (r"^mid_block\.attentions\.0", "middle_block.1"),
    (r"^mid_block\.resnets\.1", "middle_block.2"),
]
RESNET_NAMES: Names = [
    (r"\.norm1\.", ".in_layers.0."),
    (r"\.conv1\.", ".in_layers.2."),
    (r"\.time_emb_proj\.", ".emb_layers.1."),
    (r"\.norm2\.", ".out_layers.0."),
    (r"\.conv2\.", ".out_layers.3."),
    (r"\.conv_shortcut\.", ".skip_connection."),
]
VAE_NAMES: Names = [
    (r"down_blocks\.(\d)\.resnets\.(\d)", r"down.\1.block.\2"),
    (r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample"),
    (r"mid_block\.resnets\.0", "mid.block_1"),
    (r"mid_block\.resnets\.1", "mid.block_2"),
    (r"mid_block\.attentions\.0", "mid.attn_1"),
    (r"conv_norm_out", "norm_out"),
    (r"conv_shortcut", "nin_shortcut"),
    (r"\.group_norm\.", ".norm."),
    (r"\.query\.", ".q."),
    (r"\.key\.", ".k."),
    (r"\.value\.", ".v."),
    (r"\.proj_attn\.", ".proj_out."),
]
TEXT_NAMES: Names = [
    (r"^text_model\.", ""),
    (r"^encoder\.layers\.(\d+)", r"transformer.resblocks.\1"),
    (r"^embeddings\.position_embedding\.weight", "positional_embedding"),
    (r"^embeddings\.token_embedding", "token_embedding"),
    (r"^final_layer_norm", "ln_final"),
    (r"\.layer_norm1\.", ".ln_1."),
    (r"\.layer_norm2\.", ".ln_2."),
    (r"\.fc1\.", ".c_fc."),
    (r"\.fc2\.", ".c_proj."),
    (r"\.self_attn\.", ".attn."),
]


def renamed(name: str, names: Names) -> str:
    for pattern, new in names:
        name = re.sub(pattern, new, name)
    return name


def unet_name(name: str, layers: int = 2) -> str:
    for pattern, root, offset in ((r"^down_blocks", "input_blocks", 1), (r"^up_blocks", "output_blocks", 0)):
        if match := re.match(pattern + r"\.(\d)\.(resnets|attentions|downsamplers|upsamplers)\.(\d)\.(.*)", name):
            block, kind, index, rest = int(match[1]), match[2], int(match[3]), match[4]
            if kind == "downsamplers":
                return f"{root}.{(block + 1) * (layers + 1)}.0.op.{rest.removeprefix('conv.')}"
            if kind == "upsamplers":  # after the attention where the block has one
                return f"{root}.{block * (layers + 1) + layers}.{1 if block == 0 else 2}.{rest}"
            slot = 0 if kind == "resnets" else 1
            name = f"{root}.{block * (layers + 1) + index + offset}.{slot}.{rest}"
            return renamed(f"x.{name}", RESNET_NAMES)[2:] if slot == 0 else name
    name = renamed(name, UNET_NAMES)
    return renamed(name, RESNET_NAMES) if name.startswith(("middle_block.0", "middle_block.2")) else name


def with_joined_projections(text: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """OpenCLIP holds query, key and value projections in one matrix."""
    joined = {name: value for name, value in text.items() if "_proj." not in name or "c_proj" in name}
    for name in [name for name in text if ".q_proj." in name]:
        parts = [text[name.replace("q_proj", f"{letter}_proj")] for letter in "qkv"]
        joined[name.replace("q_proj.", "in_proj_")] = torch.cat(parts)
    return joined | {name: value for name, value in text.items() if ".out_proj." in name}


def write_single_file(folder: Path, path: Path) -> None:
    unet = load_file(folder / "unet" / "diffusion_pytorch_model.safetensors")
    vae = load_file(folder / "vae" / "diffusion_pytorch_model.safetensors")
    text = load_file(folder / "text_encoder" / "model.safetensors")
    state = {f"model.diffusion_model.{unet_name(name)}": value for name, value in unet.items()}
    state |= {f"first_stage_model.{renamed(name, VAE_NAMES)}": value for name, value in vae.items()}
    text = {renamed(name, TEXT_NAMES): value for name, value in text.items() if "position_ids" not in name}
    state |= {f"cond_stage_model.model.{name}": value for name, value in with_joined_projections(text).items()}
    save_file({name: value.contiguous() for name, value in state.items()}, path)


@pytest.fixture(scope="module")
def single(goldens, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("single") / "model.safetensors"
    write_single_file(goldens / "tiny_sd21_shape", path)
    return path


@torch.inference_mode()
def test_it_computes_what_the_folder_computes(goldens, single):
    folder = goldens / "tiny_sd21_shape"
    expected = load(with_sources(load_row("sd21-base"), [str(folder)]), "cpu", "float32")
    parts = load_single_file(single, [folder], torch.float32)
    for name in ("unet", "vae", "text_encoder"):
        own, other = parts[name].eval().state_dict(), getattr(expected, name).state_dict()
        assert own.keys() == other.keys()
        assert all(torch.equal(own[key], other[key]) for key in own)
    assert not any(name.startswith("decoder") for name in parts["vae"].state_dict())
    ids = torch.arange(77)[None]
    assert torch.equal(parts["text_encoder"](ids).last_hidden_state, expected.text_encoder(ids).last_hidden_state)
    assert torch.equal(parts["scheduler"].alphas_cumprod, expected.scheduler.alphas_cumprod)


def after_building(monkeypatch, action):
    """Let `action` see each CLIP text encoder as soon as it is built."""
    build = transformers.CLIPTextModel.__init__

    def build_and_act(self, config):
        build(self, config)
        action(self)

    monkeypatch.setattr(transformers.CLIPTextModel, "__init__", build_and_act)


def test_the_text_encoder_equals_a_real_build_and_is_held_once(goldens, single, monkeypatch):
    config = json.loads((goldens / "tiny_sd21_shape" / "text_encoder" / "config.json").read_text())
    real = transformers.CLIPTextModel(transformers.CLIPTextConfig(**config))
    weights = load_file(goldens / "tiny_sd21_shape" / "text_encoder" / "model.safetensors")
    wanted = real.state_dict()
    names = {name: name if name in wanted else name.removeprefix("text_model.") for name in weights}
    real.load_state_dict({names[name]: weights[name] for name in weights if names[name] in wanted})
    built_on: list[str] = []
    after_building(
        monkeypatch, lambda self: built_on.extend(t.device.type for t in (*self.parameters(), *self.buffers()))
    )
    encoder = load_single_file(single, [goldens / "tiny_sd21_shape"], torch.float32)["text_encoder"]
    assert set(built_on) == {"meta"}
    for kind in ("named_parameters", "named_buffers"):
        own, other = dict(getattr(encoder, kind)()), dict(getattr(real, kind)())
        assert own.keys() == other.keys()
        assert all(own[name].dtype == other[name].dtype and torch.equal(own[name], other[name]) for name in own)
    assert any(name.endswith("position_ids") for name in own)  # the buffer that the file does not hold
    assert encoder.state_dict().keys() == wanted.keys()


def test_a_buffer_without_values_is_one_line(goldens, single, monkeypatch):
    after_building(monkeypatch, lambda encoder: encoder.register_buffer("scale", torch.ones(1), persistent=False))
    with pytest.raises(InputError, match="nothing gives the buffer scale its values"):
        load_single_file(single, [goldens / "tiny_sd21_shape"], torch.float32)


def test_the_tokenizer_is_looked_for_beside_the_file(goldens, single, monkeypatch):
    monkeypatch.setattr("iseg.backbones.load.configs_folder", lambda: Path("nowhere"))
    backbone = with_sources(load_row("sd21-base"), [str(single)])
    with pytest.raises(InputError, match="sd21-base needs a folder"):
        load(backbone, "cpu")
    shutil.copytree(goldens / "tiny_sd21_shape" / "tokenizer", single.parent / "tokenizer")
    architecture = single.parent / "backbones"
    architecture.mkdir()
    (architecture / "sd21-base").symlink_to(goldens / "tiny_sd21_shape")
    monkeypatch.setattr("iseg.backbones.load.configs_folder", lambda: single.parent)
    assert load(backbone, "cpu").tokenizer("cat")["input_ids"] == [49406, 2368, 49407]


def test_a_file_of_another_model_is_one_line(goldens, single, tmp_path):
    other = tmp_path / "other.safetensors"
    save_file({"a": torch.zeros(2)}, other)
    with pytest.raises(InputError, match="has no unet"):
        load_single_file(other, [goldens / "tiny_sd21_shape"], torch.float32)
    other.write_bytes(b"not safetensors at all")
    with pytest.raises(InputError, match=r"not a readable .safetensors"):
        load_single_file(other, [goldens / "tiny_sd21_shape"], torch.float32)
    partial = load_file(single)
    save_file({name: value for name, value in partial.items() if "input_blocks.4" not in name}, other)
    with pytest.raises(InputError, match=r"unet of .* lacks .* tensors, the first is down_blocks") as raised:
        load_single_file(other, [goldens / "tiny_sd21_shape"], torch.float32)
    assert "\n" not in str(raised.value)
