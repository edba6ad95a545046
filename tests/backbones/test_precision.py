"""float32 is float32; float16 and bfloat16 agree with it as far as stated."""

from typing import Any

import numpy as np
import pytest
import torch
from family_models import small_row, write_model
from narrow import unet_parts

from iseg import ISeg
from iseg.attention import Layers
from iseg.backbones.load import load
from iseg.backbones.precision import without_tf32
from iseg.backbones.recording import add_probabilities
from iseg.backbones.table import with_sources
from iseg.prompt import EMPTY


def flags():
    return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32


def test_tf32_is_off_inside_and_restored():
    before = flags()
    try:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        with pytest.raises(KeyError), without_tf32():  # noqa: PT012 the block is what is looked at
            assert flags() == (False, False)
            raise KeyError
        assert flags() == (True, True)
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def test_every_step_of_a_pass_is_without_tf32(monkeypatch):
    parts = unet_parts(ISeg.from_pretrained("tiny", device="cpu"))
    seen = []
    for name in ("vae", "text_encoder", "unet"):
        getattr(parts, name).register_forward_pre_hook(lambda *_: seen.append(flags()))
    encode = parts.vae.encode

    def watched(images: torch.Tensor) -> object:
        seen.append(flags())
        return encode(images)

    monkeypatch.setattr(parts.vae, "encode", watched)
    before = flags()
    latents = parts.noised(parts.encode(torch.rand(1, 3, 256, 256)))
    layer = {"up_blocks.2.attentions.0.transformer_blocks.0": [0]}
    parts.record(latents, parts.condition([EMPTY]), Layers({}, layer))
    assert seen == [(False, False)] * 3
    assert flags() == before
    assert before[1]  # torch's default, without which this shows nothing


class Straight:
    """An attention module whose projections change nothing."""

    heads, scale = 1, 1.0

    def to_q(self, x):
        return x

    to_k = to_q


def test_products_are_not_rounded_to_half():
    torch.manual_seed(0)
    query, key = (3 * torch.randn(1, 40, 16)).half(), (3 * torch.randn(1, 9, 16)).half()
    exact = (query.double() @ key.double().transpose(1, 2)).softmax(-1)
    assert exact.std() > 0.1
    found = add_probabilities(None, Straight(), query, key, [0])
    rounded = (query @ key.transpose(1, 2)).softmax(-1, dtype=torch.float32)
    assert (found - exact).abs().max() < 1e-4 < 1e-3 < (rounded - exact).abs().max()


# (largest and mean difference of scores in [0, 1], share labelled alike), about twice what is found on either of two
# processors, see docs/performance.md. The random model's two maps are nearly equal, so that bfloat16 moves the border
# between them.
BOUNDS = {"float16": (0.007, 0.0008, 0.996), "bfloat16": (0.14, 0.008, 0.965)}


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", list(BOUNDS))
@pytest.mark.parametrize("name", ["tiny", "shape"])
def test_halves_agree_with_float32(name, dtype, layout, scene, goldens):
    model, words = ("tiny", ["cat", "dog"]) if name == "tiny" else (goldens / "tiny_sd21_shape", ["cat", "person"])
    results = []
    for precision in ("float32", dtype):
        seg = ISeg.from_pretrained(model, device="cpu", dtype=precision)
        networks: list[Any] = [unet_parts(seg).vae, unet_parts(seg).unet]
        for part in networks:
            part.to(memory_format=layout)
        seg.set_image(scene)
        results.append(seg.segment(classes=words, background=0.5))
    full, half = results
    difference, alike = np.abs(full.scores - half.scores).max(), (full.mask == half.mask).mean()
    assert np.isfinite(half.scores).all()
    mean = np.abs(full.scores - half.scores).mean()
    largest, typical, share = BOUNDS[dtype]
    found = f"{name} {dtype}: {difference:.4f}, {mean:.5f}, {alike:.4f}"
    assert (difference <= largest, mean <= typical, alike >= share) == (True, True, True), found


@torch.inference_mode()
def test_the_vae_of_sdxl_computes_in_float32(tmp_path):
    row = with_sources(small_row("sdxl"), [str(write_model(tmp_path, "sdxl"))])
    half = load(row, "cpu", "float16")
    assert {weight.dtype for weight in half.vae.parameters()} == {torch.float32}
    assert {weight.dtype for weight in half.unet.parameters()} == {torch.float16}
    half.vae.encoder.conv_in.weight.mul_(1e6)  # activations past float16's largest number
    latents = half.encode(torch.rand(1, 3, 128, 128))
    assert latents.dtype == torch.float16
    assert latents.isfinite().all()
