"""What is wrong with a model is one clear line: another family, missing tensors, another model's tokenizer."""

import json
import re
import shutil

import pytest
import torch
from family_models import TOKENIZER, small_row, write_model, write_tokenizer
from safetensors.torch import load_file, save_file

from iseg.backbones.family import detect_family, row_for
from iseg.backbones.load import load, pick_device
from iseg.backbones.table import with_sources
from iseg.errors import InputError


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    root = tmp_path_factory.mktemp("strict")
    return {name: write_model(root / name, name) for name in ("sd15", "sd21-base", "sdxl")}


@pytest.fixture
def folder(originals, tmp_path):
    return shutil.copytree(originals["sd21-base"], tmp_path / "model")


def refused(folder, message, row="sd21-base"):
    with pytest.raises(InputError) as raised:
        load(with_sources(small_row(row), [str(folder)]), "cpu", "float32")
    assert re.search(message, str(raised.value)), str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("model", "row", "message"),
    [
        ("sd15", "sd21-base", "looks like Stable Diffusion 1.x: .* sd21-base is for .* 2.x; use --backbone sd15"),
        ("sd21-base", "sd15", "looks like Stable Diffusion 2.x: .* use --backbone sd21-base"),
        ("sdxl", "sd21-base", "looks like Stable Diffusion XL: .* use --backbone sdxl"),
        ("sd15", "sdxl", "looks like Stable Diffusion 1.x: .* sdxl is for Stable Diffusion XL; use --backbone sd15"),
    ],
)
def test_another_family_is_named(originals, model, row, message):
    refused(originals[model], message, row)


def test_the_row_follows_the_family(originals, tmp_path):
    assert {name: row_for(folder) for name, folder in originals.items()} == {name: name for name in originals}
    assert row_for(tmp_path) == row_for("nobody/nothing-of-the-kind") == "sd21-base"
    prefixes = {
        "sd1": ["cond_stage_model.transformer.a"],
        "sd2": ["cond_stage_model.model.a"],
        "sdxl": ["conditioner.embedders.0.transformer.a", "conditioner.embedders.1.model.a"],
        None: ["a"],
    }
    for family, names in prefixes.items():
        save_file({name: torch.zeros(1) for name in names}, tmp_path / "m.safetensors")
        assert detect_family(tmp_path / "m.safetensors") == family


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
@pytest.mark.parametrize("left", ["some", "none"])
def test_missing_tensors_are_named(folder, part, left):
    file = next((folder / part).glob("*.safetensors"))
    state = load_file(file)
    ends = ("mid_block.resnets.0.conv1.weight", "fc1.weight")
    gone = next(name for name in state if name.endswith(ends) and not name.startswith("decoder."))
    kept = {name: value for name, value in state.items() if name != gone} if left == "some" else {"x": torch.ones(1)}
    save_file(kept, file)
    short = gone.removeprefix("text_model.")
    refused(folder, rf"{part} of .*(lacks 1 of \d+ tensors, the first is .*{re.escape(short)}|lacks|holds no tensor)")
    if left == "some":
        refused(folder, re.escape(short))


def test_the_projection_of_sdxl_is_needed(originals, tmp_path):
    folder = shutil.copytree(originals["sdxl"], tmp_path / "model")
    file = next((folder / "text_encoder_2").glob("*.safetensors"))
    save_file({name: value for name, value in load_file(file).items() if name != "text_projection.weight"}, file)
    refused(folder, "text_encoder_2 of .* lacks 1 of .* text_projection.weight", "sdxl")
    shutil.rmtree(folder / "tokenizer_2")
    write_tokenizer(folder / "tokenizer_2", "<|endoftext|>")
    refused(folder, "tokenizer_2 pads with '<.endoftext.>', the model with '!'", "sdxl")


def test_another_models_tokenizer_is_refused(folder, originals):
    shutil.rmtree(folder / "tokenizer")
    refused(folder, "lacks tokenizer")
    shutil.copytree(originals["sd15"] / "tokenizer", folder / "tokenizer")
    refused(folder, "pads with '<.endoftext.>', the model with '!': it is another model's tokenizer")


@pytest.mark.parametrize("content", [None, "{}"])
def test_a_tokenizer_without_settings_is_refused(folder, content):
    shutil.rmtree(folder / "tokenizer")
    shutil.copytree(TOKENIZER, folder / "tokenizer")
    (folder / "tokenizer" / "tokenizer_config.json").unlink()
    if content:
        (folder / "tokenizer" / "tokenizer_config.json").write_text(content)
    refused(folder, "has no length: expected model_max_length 77 in its tokenizer_config.json")
    (folder / "tokenizer" / "merges.txt").write_text("")
    refused(folder, r"letter by letter: its merges.txt is empty")


def test_group_norms_need_groups(folder):
    for part in ("vae", "unet"):
        path = folder / part / "config.json"
        before = path.read_text()
        path.write_text(json.dumps({**json.loads(before), "norm_num_groups": -1}))
        refused(folder, "has -1 groups: expected norm_num_groups of at least 1")
        path.write_text(before)


def test_weights_that_are_a_folder(folder):
    file = next((folder / "unet").glob("*.safetensors"))
    file.unlink()
    file.mkdir()
    refused(folder, r"unet/diffusion_pytorch_model\.safetensors: |cannot be loaded")


def test_meta_is_no_device():
    with pytest.raises(InputError, match="device 'meta' cannot be used here"):
        pick_device("meta")
