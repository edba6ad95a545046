"""Recording of attention on a small random UNet: against explicit scores, early exit, restoring, batches."""

from contextlib import suppress

import pytest
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from narrow import self_attention

from iseg.attention import Layers, Record
from iseg.backbones.recording import Half, PassEnded, Recording, end_pass
from iseg.errors import InputError

DOWN, UP = "down_blocks.1.attentions.0.transformer_blocks.0", "up_blocks.0.attentions.1.transformer_blocks.0"
LAST = "up_blocks.1.attentions.1.transformer_blocks.0"
LAYERS = Layers({4: {DOWN: [0, 1], UP: [1]}, 8: {"up_blocks.1.attentions.0.transformer_blocks.0": [0]}}, {LAST: [0, 1]})


@pytest.fixture(scope="module")
def unet() -> UNet2DConditionModel:
    torch.manual_seed(0)
    return UNet2DConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        attention_head_dim=2,
        cross_attention_dim=12,
        norm_num_groups=4,
    ).eval()


@pytest.fixture(scope="module")
def inputs() -> tuple[torch.Tensor, int, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(3, 4, 8, 8, generator=generator), 100, torch.randn(3, 7, 12, generator=generator)


@torch.inference_mode()
def record(unet, inputs, layers=LAYERS, early_exit=True) -> Record:
    with Recording(unet, layers, on_complete=end_pass if early_exit else None) as made:
        with suppress(PassEnded):
            unet(inputs[0], inputs[1], encoder_hidden_states=inputs[2])
        return made.take()


@torch.inference_mode()
def explicit_probabilities(unet, inputs, name: str) -> torch.Tensor:
    """(B, heads, queries, keys) through diffusers' own score function, from the module's real inputs."""
    seen = {}
    module = unet.get_submodule(name)

    def keep(module, args, kwargs):
        seen["hidden"], seen["context"] = args[0], kwargs.get("encoder_hidden_states")

    handle = module.register_forward_pre_hook(keep, with_kwargs=True)
    unet(inputs[0], inputs[1], encoder_hidden_states=inputs[2])
    handle.remove()
    context = seen["hidden"] if seen["context"] is None else seen["context"]
    query = module.head_to_batch_dim(module.to_q(seen["hidden"]))
    key = module.head_to_batch_dim(module.to_k(context))
    return module.get_attention_scores(query, key).unflatten(0, (len(seen["hidden"]), module.heads))


def test_means_are_those_of_the_explicit_scores(unet, inputs):
    made = record(unet, inputs)
    down = explicit_probabilities(unet, inputs, f"{DOWN}.attn2")
    up = explicit_probabilities(unet, inputs, f"{UP}.attn2")
    mean = (down[:, 0] + down[:, 1] + up[:, 1]) / 3  # (B, 16, L)
    assert torch.allclose(made.cross_attention[4], mean.transpose(1, 2).unflatten(2, (4, 4)), atol=1e-6)
    own = explicit_probabilities(unet, inputs, f"{LAST}.attn1").mean(1)
    assert torch.allclose(self_attention(made), own, atol=1e-6)
    assert self_attention(made).shape == (3, 64, 64)
    assert torch.allclose(self_attention(made).sum(-1), torch.ones(3, 64))


def test_early_exit_gives_the_maps_of_the_full_pass(unet, inputs):
    short, full = record(unet, inputs), record(unet, inputs, early_exit=False)
    for resolution in LAYERS.cross_attention:
        assert torch.equal(short.cross_attention[resolution], full.cross_attention[resolution])
    assert torch.equal(self_attention(short), self_attention(full))


def test_nothing_runs_after_the_last_recorded_layer(unet, inputs):
    ran = []
    handles = [
        unet.get_submodule(name).register_forward_hook(lambda *_, name=name: ran.append(name))
        for name in ("conv_out", f"{LAST}.ff", f"{LAST}.attn1.to_v")
    ]
    record(unet, inputs)
    assert ran == []
    record(unet, inputs, early_exit=False)
    for handle in handles:
        handle.remove()
    assert len(ran) == 3


def test_recording_does_not_change_the_output(unet, inputs):
    outputs = []
    handle = unet.register_forward_hook(lambda module, args, output: outputs.append(output.sample))
    record(unet, inputs, early_exit=False)
    handle.remove()
    with torch.inference_mode():
        assert torch.equal(outputs[0], unet(inputs[0], inputs[1], encoder_hidden_states=inputs[2]).sample)


def test_a_batch_is_its_images_one_by_one(unet, inputs):
    whole = record(unet, inputs)
    for b in range(3):
        alone = record(unet, (inputs[0][b : b + 1], inputs[1], inputs[2][b : b + 1]))
        assert torch.allclose(self_attention(whole)[b], self_attention(alone)[0], atol=1e-6)
        for resolution in LAYERS.cross_attention:
            assert torch.allclose(whole.cross_attention[resolution][b], alone.cross_attention[resolution][0], atol=1e-6)


@pytest.mark.parametrize("failing", ["pass", "block"])
def test_processors_are_restored_after_an_exception(unet, inputs, failing):
    before = {name: id(processor) for name, processor in unet.attn_processors.items()}
    context = Recording(unet, LAYERS)
    with pytest.raises(RuntimeError), context:  # noqa: PT012 both ways of failing leave the block
        assert {name: id(processor) for name, processor in unet.attn_processors.items()} != before
        if failing == "pass":
            unet(inputs[0][:, :3], inputs[1], encoder_hidden_states=inputs[2])  # wrong channel count
        raise RuntimeError("in the block")
    assert {name: id(processor) for name, processor in unet.attn_processors.items()} == before


def test_only_named_layers_are_touched(unet):
    with Recording(unet, LAYERS):
        changed = [name for name, processor in unet.attn_processors.items() if hasattr(processor, "recording")]
    assert len(changed) == 4


def test_a_layer_without_heads_is_left_alone(unet, inputs):
    made = record(unet, inputs, Layers({4: {DOWN: [], UP: [1]}}, {}))
    up = explicit_probabilities(unet, inputs, f"{UP}.attn2")[:, 1]
    assert torch.allclose(made.cross_attention[4], up.transpose(1, 2).unflatten(2, (4, 4)), atol=1e-6)
    assert made.self_attention is None


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (Layers({4: {"down_blocks.9.attentions.0": [0]}}), "no attention layer 'down_blocks.9.*it has .*down_blocks.1"),
        (Layers({4: {DOWN: [2]}}), r"heads 0\.\.1: head 2"),
        (Layers({}, {LAST: [-1]}), "head -1"),
    ],
)  # fmt: skip
def test_wrong_layers_and_heads_are_named(unet, layers, message):
    with pytest.raises(InputError, match=message):
        Recording(unet, layers)


def test_a_wrong_resolution_is_named(unet, inputs):
    with pytest.raises(InputError, match="configured as 16x16, the UNet ran them at 4x4"):
        record(unet, inputs, Layers({16: {DOWN: [0]}}))


@torch.inference_mode()
def test_steps_of_another_pipeline_are_averaged_and_guidance_halves_told_apart(unet, inputs):
    steps = [inputs[1], 300, 700]
    with Recording(unet, LAYERS) as both:
        for step in steps:
            unet(inputs[0], step, encoder_hidden_states=inputs[2])
        mean = both.take()
    each = [record(unet, (inputs[0], step, inputs[2])) for step in steps]
    expected = torch.stack([self_attention(one) for one in each]).mean(0)
    assert torch.allclose(self_attention(mean), expected, atol=1e-6)
    for resolution in LAYERS.cross_attention:
        maps = torch.stack([one.cross_attention[resolution] for one in each]).mean(0)
        assert torch.allclose(mean.cross_attention[resolution], maps, atol=1e-6)
    halves: list[tuple[Half, slice]] = [("unconditional", slice(0, 1)), ("conditional", slice(1, 2))]
    for half, rows in halves:
        with Recording(unet, LAYERS, half) as recording:
            unet(inputs[0][:2], steps[0], encoder_hidden_states=inputs[2][:2])
            kept = recording.take()
        assert torch.allclose(self_attention(kept), self_attention(each[0])[rows], atol=1e-6)
        assert torch.allclose(kept.cross_attention[4], each[0].cross_attention[4][rows], atol=1e-6)


def test_what_was_taken_does_not_count_again(unet, inputs):
    with torch.inference_mode(), Recording(unet, LAYERS) as recording:
        for _ in range(2):
            unet(inputs[0], inputs[1], encoder_hidden_states=inputs[2])
            made = recording.take()
    assert torch.equal(self_attention(made), self_attention(record(unet, inputs)))
