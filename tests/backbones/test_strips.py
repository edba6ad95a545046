"""The VAE's encoder by strips is the encoder of diffusers, at any size of strip."""

import pytest
import torch
import torch.nn.functional as F
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from hypothesis import given, settings
from hypothesis import strategies as st
from narrow import unet_parts
from torch import nn

from iseg import ISeg
from iseg.backbones import strips
from iseg.backbones.vae import kl_encoder

SIZES = st.tuples(st.integers(3, 40), st.integers(3, 23))
ONE_ROW, SOME_ROWS, ALL_ROWS = 1, 4000, 1 << 24


def convolution(inputs: int, outputs: int, stride: int, pad: int) -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(inputs, outputs, 3, stride, pad)


@pytest.mark.parametrize("strip", [ONE_ROW, SOME_ROWS, ALL_ROWS])
@pytest.mark.parametrize(("stride", "pad", "after"), [(1, 1, 0), (2, 0, 1), (2, 1, 0), (1, 0, 0)])
@given(size=SIZES)
@settings(max_examples=15, deadline=None)
@torch.inference_mode()
def test_convolution(strip, stride, pad, after, size):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strips, "STRIP_BYTES", strip)
        conv, x = convolution(4, 6, stride, pad), torch.rand(2, 4, *size)
        kept = x.clone()
        found = strips.convolve(conv, x, after=after)
        torch.testing.assert_close(found, conv(F.pad(x, (0, after, 0, after))), rtol=0, atol=1e-5)
        assert torch.equal(x, kept)


@pytest.mark.parametrize("strip", [ONE_ROW, SOME_ROWS, ALL_ROWS])
@torch.inference_mode()
def test_convolution_in_place(strip, monkeypatch):
    monkeypatch.setattr(strips, "STRIP_BYTES", strip)
    conv, x = convolution(4, 4, 1, 1), torch.rand(2, 4, 37, 11)
    expected = conv(x)
    assert strips.convolve(conv, x, overwrite=True) is x
    torch.testing.assert_close(x, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("strip", [ONE_ROW, SOME_ROWS, ALL_ROWS])
@torch.inference_mode()
def test_norm_in_place(strip, monkeypatch):
    monkeypatch.setattr(strips, "STRIP_BYTES", strip)
    norm, x = nn.GroupNorm(4, 12), torch.rand(2, 12, 9, 14)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    expected = norm(x)
    assert strips.normalize_(norm, x) is x
    torch.testing.assert_close(x, expected, rtol=0, atol=1e-6)


def autoencoder() -> AutoencoderKL:
    torch.manual_seed(0)
    blocks = ("DownEncoderBlock2D",) * 3
    vae = AutoencoderKL(
        down_block_types=blocks,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(32, 32, 64),
        layers_per_block=2,
        norm_num_groups=8,
    )
    return vae.eval().requires_grad_(False)


def in_strips(plain: AutoencoderKL) -> AutoencoderKL:
    state = {key: value for key, value in plain.state_dict().items() if key.startswith(("encoder.", "quant_conv."))}
    ours = kl_encoder(plain.config, state).eval()
    assert isinstance(ours, AutoencoderKL)
    strips.use_strips(ours)
    return ours


@pytest.mark.parametrize("strip", [ONE_ROW, SOME_ROWS, ALL_ROWS])
@torch.inference_mode()
def test_encoder(strip, monkeypatch):
    monkeypatch.setattr(strips, "STRIP_BYTES", strip)
    plain = autoencoder()
    ours = in_strips(plain)
    images = 2 * torch.rand(2, 3, 48, 72) - 1
    kept = images.clone()
    expected = plain.encode(images).latent_dist.mean
    torch.testing.assert_close(ours.encode(images).latent_dist.mean, expected, rtol=0, atol=1e-5)
    assert torch.equal(images, kept)


@torch.inference_mode()
def test_fewer_maps_are_held(monkeypatch):
    """The largest sum of tensors alive, by torch's own count."""
    monkeypatch.setattr(strips, "STRIP_BYTES", 1 << 16)
    plain = autoencoder()
    ours = in_strips(plain)
    images = torch.zeros(1, 3, 192, 192)
    one_map = 32 * 192 * 192 * 4
    assert most_held(ours, images) < 2.6 * one_map < 4 * one_map < most_held(plain, images)


def most_held(vae: AutoencoderKL, images: torch.Tensor) -> int:
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        vae.encode(images)
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    held = most = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        most = max(most, held)
    return most


def test_layers_are_replaced_not_patched():
    plain = autoencoder()
    ours = in_strips(plain)
    assert not any("forward" in vars(module) for module in ours.modules())
    assert any(isinstance(module, strips.StripConv) for module in ours.modules())
    assert ours.state_dict().keys() <= plain.state_dict().keys()


def test_other_autoencoders_are_left_alone():
    vae = unet_parts(ISeg.from_pretrained("tiny", device="cpu", dtype="float32")).vae
    assert not any(type(module).__module__ == strips.__name__ for module in vae.modules())
