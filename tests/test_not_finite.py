"""NaN and infinity: never a mask. What overflows in half precision is computed again in float32."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from narrow import unet_parts

from iseg import ISeg
from iseg.errors import InputError, NotFinite
from iseg.regions import METHODS

PARTS: dict[str, str | None] = {
    "unet": "up_blocks.1.attentions.0.transformer_blocks.0.attn2.to_q.weight",
    "vae": "encoder.weight",
    "text_encoder": None,
}
PROMPTS: list[dict[str, Any]] = [{"classes": ["cat"]}, {"points": [(60, 40)]}, {"boxes": [(10, 10, 60, 60)]}]


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
    if part == "vae":  # regions see neither the words nor, but for merging, that weight of the UNet
        for method in METHODS:
            with pytest.raises(NotFinite, match="weights are broken"):
                seg.regions(method=method)
    with pytest.raises(NotFinite):
        seg.segment_batch([scene, scene], [["cat"], ["dog"]])
    assert state.kept == 0  # nothing of it is used again


@pytest.fixture
def narrow_model(tiny, scene, monkeypatch):
    """The embedded model in float16 whose UNet overflows in anything narrower than float32."""
    seg = ISeg.from_pretrained("tiny", device="cpu", dtype="float16")
    unet = unet_parts(seg).unet
    real = unet.forward

    def forward(sample, *arguments, **options):
        if sample.dtype != torch.float32:
            sample = sample + torch.tensor(float("inf"), dtype=sample.dtype)
        return real(sample, *arguments, **options)

    monkeypatch.setattr(unet, "forward", forward)
    return seg


def test_what_overflows_is_computed_again_in_float32(narrow_model, tiny, scene):
    narrow_model.set_image(scene)
    wide = ISeg.from_pretrained("tiny", device="cpu", dtype="float32")
    wide.set_image(scene)
    for prompt in PROMPTS:
        out, expected = narrow_model.segment(**prompt), wide.segment(**prompt)
        assert np.array_equal(out.mask, expected.mask)  # the weights are exact in float16
    for method in METHODS:
        assert np.array_equal(narrow_model.regions(method=method).labels, wide.regions(method=method).labels)
    batch = narrow_model.segment_batch([scene, scene[:50]], [["cat"], ["dog"]])
    assert np.array_equal(batch[0].mask, narrow_model.segment(classes=["cat"]).mask)
    assert narrow_model.backbone.dtype == torch.float16
    for network in (unet_parts(narrow_model).unet, unet_parts(narrow_model).vae, unet_parts(narrow_model).text_encoder):
        assert {weight.dtype for weight in network.parameters()} == {torch.float16}


def test_no_room_for_float32_is_one_line_and_all_is_put_back(narrow_model, scene, monkeypatch):
    def no_room(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    narrow_model.set_image(scene)
    monkeypatch.setattr(type(unet_parts(narrow_model).unet), "float", no_room)
    with pytest.raises(InputError, match="no room to compute in float32"):
        narrow_model.segment(classes=["cat"])
    assert narrow_model.backbone.dtype == torch.float16
    assert next(unet_parts(narrow_model).vae.parameters()).dtype == torch.float16
