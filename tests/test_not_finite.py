"""NaN and infinity: never a mask. What overflows in half precision is computed again in float32."""

import copy

import numpy as np
import pytest
import torch

from iseg import ISeg
from iseg.errors import InputError, NotFinite

PARTS = {
    "unet": "up_blocks.1.attentions.0.transformer_blocks.0.attn2.to_q.weight",
    "vae": "encoder.weight",
    "text_encoder": None,
}
PROMPTS = [{"classes": ["cat"]}, {"points": [(60, 40)]}, {"boxes": [(10, 10, 60, 60)]}]


def spoiled(tiny, part: str, value: float) -> ISeg:
    """The embedded model with one bad weight."""
    backbone = copy.copy(tiny.backbone)
    network = copy.deepcopy(getattr(backbone, part))
    weights = dict(network.named_parameters())
    weight = weights[PARTS[part]] if PARTS[part] else next(w for name, w in weights.items() if "final" in name)
    with torch.no_grad():
        weight.view(-1)[0] = value
    setattr(backbone, part, network)
    backbone._embedded = type(backbone._embedded)()
    return ISeg(backbone, tiny.recipe)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("part", PARTS)
def test_broken_weights_are_an_error(tiny, scene, part, value):
    seg = spoiled(tiny, part, value)
    state = seg.set_image(scene)
    for prompt in PROMPTS:
        if part == "text_encoder" or (part == "unet" and "classes" not in prompt):
            continue  # a seed does not see that weight
        with pytest.raises(NotFinite, match="weights are broken"):
            seg.segment(**prompt)
    with pytest.raises(NotFinite, match="weights are broken"):
        seg.segment(classes=["cat"])
    with pytest.raises(NotFinite):
        seg.segment_batch([scene, scene], [["cat"], ["dog"]])
    assert state.kept == 0  # nothing of it is used again


@pytest.fixture
def narrow(tiny, scene, monkeypatch):
    """The embedded model in float16 whose UNet overflows in anything narrower than float32."""
    seg = ISeg.from_pretrained("tiny", device="cpu", dtype="float16")
    real = seg.backbone.unet.forward

    def forward(sample, *arguments, **options):
        if sample.dtype != torch.float32:
            sample = sample + torch.tensor(float("inf"), dtype=sample.dtype)
        return real(sample, *arguments, **options)

    monkeypatch.setattr(seg.backbone.unet, "forward", forward)
    return seg


def test_what_overflows_is_computed_again_in_float32(narrow, tiny, scene):
    narrow.set_image(scene)
    wide = ISeg.from_pretrained("tiny", device="cpu", dtype="float32")
    wide.set_image(scene)
    for prompt in PROMPTS:
        out, expected = narrow.segment(**prompt), wide.segment(**prompt)
        assert np.array_equal(out.mask, expected.mask)  # the weights are exact in float16
    batch = narrow.segment_batch([scene, scene[:50]], [["cat"], ["dog"]])
    assert np.array_equal(batch[0].mask, narrow.segment(classes=["cat"]).mask)
    assert narrow.backbone.dtype == torch.float16
    for network in (narrow.backbone.unet, narrow.backbone.vae, narrow.backbone.text_encoder):
        assert {weight.dtype for weight in network.parameters()} == {torch.float16}


def test_no_room_for_float32_is_one_line_and_all_is_put_back(narrow, scene, monkeypatch):
    def no_room(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    narrow.set_image(scene)
    monkeypatch.setattr(type(narrow.backbone.unet), "float", no_room)
    with pytest.raises(InputError, match="no room to compute in float32"):
        narrow.segment(classes=["cat"])
    assert narrow.backbone.dtype == torch.float16
    assert next(narrow.backbone.vae.parameters()).dtype == torch.float16
