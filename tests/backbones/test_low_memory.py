"""Half-precision weights with float32 arithmetic, tensor-wise loading, the prompt cache, other VAEs."""

import json

import numpy as np
import pytest
import torch
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
from narrow import unet_parts
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from iseg import ISeg
from iseg.backbones import low_memory, read
from iseg.backbones.read import read_tensors, weight_files
from iseg.backbones.vae import latents_of, load_tiny_vae
from iseg.errors import InputError


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table, self.convolution = nn.Embedding(7, 6), nn.Conv2d(3, 4, 3)
        self.norm, self.linear = nn.LayerNorm(6), nn.Linear(6, 5)

    def forward(self, ids: torch.Tensor, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.linear(self.norm(self.table(ids))), self.convolution(image)


def in_half(layer: nn.Module) -> nn.Module:
    owner = nn.Sequential(layer)
    low_memory.hold_weights_in_half(owner)
    return owner[0]


@torch.inference_mode()
def test_mixed_equals_float32_with_rounded_weights():
    torch.manual_seed(0)
    block, rounded = Block().eval(), Block().eval()
    rounded.load_state_dict({name: value.half().float() for name, value in block.state_dict().items()})
    block.half()
    low_memory.hold_weights_in_half(block)
    ids, image = torch.tensor([[1, 5, 2]]), torch.rand(2, 3, 9, 7)
    for ours, expected in zip(block(ids, image), rounded(ids, image), strict=True):
        assert ours.dtype == torch.float32
        assert torch.equal(ours, expected)
    assert {block.linear.weight.dtype, block.convolution.weight.dtype, block.table.weight.dtype} == {torch.float16}
    assert block.norm.weight.dtype == torch.float32


@pytest.mark.parametrize("largest", [1, 70, 200])
@torch.inference_mode()
def test_large_layers_are_widened_in_parts(largest, monkeypatch):
    monkeypatch.setattr(low_memory, "LARGEST_WIDENED", largest)
    torch.manual_seed(0)
    for layer, x in (
        (nn.Linear(6, 5), torch.rand(2, 7, 6)),
        (nn.Linear(6, 5, bias=False), torch.rand(6)),
        (nn.Conv2d(3, 7, 3, stride=2, padding=1), torch.rand(2, 3, 9, 14)),
    ):
        layer.half().float()  # rounded
        expected = layer(x)
        held = in_half(layer)
        torch.testing.assert_close(held(x), expected, rtol=0, atol=1e-6)
        assert held.weight.dtype == torch.float16


@torch.inference_mode()
def test_mixed_survives_a_failing_layer():
    layer = in_half(nn.Linear(3, 2))
    with pytest.raises(RuntimeError):
        layer(torch.rand(1, 4))
    assert layer(torch.rand(1, 3)).dtype == torch.float32
    assert layer.weight.dtype == torch.float16


def test_the_embedded_model_gives_the_same_mask_mixed_and_in_float32(tiny, scene):
    # its weights are float16 in the file: nothing is lost by holding them so
    full = ISeg.from_pretrained("tiny", device="cpu", dtype="float32")
    mixed = ISeg.from_pretrained("tiny", device="cpu", dtype="mixed")
    masks = []
    for model in (full, mixed):
        model.set_image(scene)
        masks.append(model.segment(classes=["cat", "dog"]).mask)
    assert np.array_equal(masks[0], masks[1])
    weights = {weight.dtype for weight in unet_parts(mixed).unet.parameters() if weight.ndim > 1}
    assert weights == {torch.float16}


def test_prompts_are_encoded_once(scene, monkeypatch):
    model = ISeg.from_pretrained("tiny", device="cpu")
    calls = []
    parts = unet_parts(model)
    original = parts.text_encoder.forward

    def counted(*a, **k):
        calls.append(1)
        return original(*a, **k)

    monkeypatch.setattr(parts.text_encoder, "forward", counted)
    first = model.segment_batch([scene, scene], [["cat"], ["cat"]])
    again = model.segment_batch([scene], [["cat"]])
    model.segment_batch([scene], [["dog"]])
    assert len(calls) == 2
    assert np.array_equal(first[0].mask, again[0].mask)
    parts.forget_prompts()
    model.segment_batch([scene], [["cat"]])
    assert len(calls) == 3


def test_few_prompts_are_kept(monkeypatch):
    monkeypatch.setattr("iseg.backbones.unet.KEPT_PROMPTS", 3)
    parts = unet_parts(ISeg.from_pretrained("tiny", device="cpu"))
    for i in range(6):
        parts.embed([i] * 77)
    assert list(parts._embedded) == [(i,) * 77 for i in (3, 4, 5)]


def test_allocator_setting_is_left_alone_without_glibc(monkeypatch):
    def no_library(_name):
        raise OSError("no such library")

    monkeypatch.setattr(low_memory.ctypes, "CDLL", no_library)
    low_memory.reuse_freed_memory()


class TestWeightFiles:
    def test_plain_file_before_variants_and_shards(self, tmp_path):
        for name in ("m.fp16.safetensors", "m.safetensors"):
            (tmp_path / name).touch()
        assert [file.name for file in weight_files(tmp_path)] == ["m.safetensors"]

    def test_all_shards(self, tmp_path):
        names = [f"m-0000{i}-of-00002.safetensors" for i in (1, 2)]
        for name in names:
            (tmp_path / name).touch()
        assert [file.name for file in weight_files(tmp_path)] == names

    def test_only_variant(self, tmp_path):
        (tmp_path / "m.fp16.safetensors").touch()
        assert [file.name for file in weight_files(tmp_path)] == ["m.fp16.safetensors"]

    def test_tensors_are_chosen_and_converted(self, tmp_path):
        kept, convolution = torch.rand(3, 4), torch.rand(2, 3, 3, 5)
        save_file({"a.weight": kept, "a.conv": convolution, "b.weight": torch.rand(2)}, tmp_path / "m.safetensors")
        state = read_tensors([tmp_path / "m.safetensors"], torch.float16, ("a.",))
        assert set(state) == {"a.weight", "a.conv"}
        assert torch.equal(state["a.weight"], kept.half())
        assert torch.equal(state["a.conv"], convolution.half())


class TestTinyVae:
    @pytest.fixture
    def folder(self, tmp_path):
        torch.manual_seed(0)
        channels = (8, 8, 8, 8)
        vae = AutoencoderTiny(encoder_block_out_channels=channels, decoder_block_out_channels=channels)
        vae.save_pretrained(tmp_path / "taesd")
        return tmp_path / "taesd"

    @torch.inference_mode()
    def test_latents_are_its_own(self, folder):
        vae = load_tiny_vae(folder, torch.float32)
        images = 2 * torch.rand(2, 3, 64, 48) - 1
        latents = latents_of(vae, images)
        assert latents.shape == (2, 4, 8, 6)
        assert torch.equal(latents, vae.get_submodule("encoder")(images))
        assert not hasattr(vae, "decoder")

    def test_it_replaces_the_models_own(self, folder, goldens):
        model = ISeg.from_pretrained(goldens / "tiny_sd21_shape", device="cpu", vae=folder)
        model.set_image(np.zeros((40, 60, 3), np.uint8))
        assert model.segment(points=[(5, 5)]).mask.shape == (40, 60)
        assert type(unet_parts(model).vae).__name__ == "AutoencoderTiny"

    def test_something_else_is_one_clear_error(self, tmp_path):
        (tmp_path / "config.json").write_text(json.dumps({"_class_name": "AutoencoderTiny"}))
        with pytest.raises(InputError, match="expected taesd or a folder with an AutoencoderTiny"):
            load_tiny_vae(tmp_path, torch.float32)


def test_compile_is_refused_for_mixed_weights():
    with pytest.raises(InputError, match="compile needs weights of one precision"):
        unet_parts(ISeg.from_pretrained("tiny", device="cpu", dtype="mixed")).compile()


def test_a_small_vae_without_a_tensor_is_an_error(tmp_path):
    """The library would fill it with random numbers."""
    channels = [8, 8]
    vae = AutoencoderTiny(
        encoder_block_out_channels=channels, decoder_block_out_channels=channels,
        num_encoder_blocks=[1, 1], num_decoder_blocks=[1, 1],
    )  # fmt: skip
    vae.save_pretrained(tmp_path)
    load_tiny_vae(tmp_path, torch.float32)
    (file,) = tmp_path.glob("*.safetensors")
    state = load_file(file)
    kept = {name: tensor for name, tensor in state.items() if not name.startswith("decoder.")}
    save_file(kept, file)  # what is not used may be missing
    load_tiny_vae(tmp_path, torch.float32)
    first = next(name for name in sorted(kept) if name.startswith("encoder."))
    del kept[first]
    save_file(kept, file)
    with pytest.raises(InputError, match=rf"lacks 1 tensors, the first is {first}"):
        load_tiny_vae(tmp_path, torch.float32)


def test_a_file_is_opened_once_for_many_tensors(tmp_path, monkeypatch):
    state = {f"t{number}": torch.full((3, 5), float(number)) for number in range(40)}
    save_file(state, tmp_path / "a.safetensors")
    opened = []

    def counting(*given):
        opened.append(given)
        return safe_open(*given)

    monkeypatch.setattr(read, "safe_open", counting)
    found = read.read_tensors([tmp_path / "a.safetensors"], torch.float16)
    assert len(opened) == 2  # for the names, and for all the tensors
    assert all(torch.equal(found[name], tensor.half()) for name, tensor in state.items())
    monkeypatch.setattr(read, "REOPENED", 600)  # ten tensors: an open file's pages would stay in memory
    assert read.read_tensors([tmp_path / "a.safetensors"], torch.float32).keys() == state.keys()
    assert len(opened) == 2 + 1 + 4
