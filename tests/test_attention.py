"""Recording of attention on a small random UNet: against explicit scores, early exit, restoring, batches."""

import pytest
import torch
from diffusers import UNet2DConditionModel

from iseg.attention import AttentionRecord, Layers
from iseg.errors import InputError

DOWN, UP = "down_blocks.1.attentions.0", "up_blocks.0.attentions.1"
LAST = "up_blocks.1.attentions.1"
LAYERS = Layers({4: {DOWN: [0, 1], UP: [1]}, 8: {"up_blocks.1.attentions.0": [0]}}, {LAST: [0, 1]})


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
def record(unet, inputs, layers=LAYERS, early_exit=True) -> AttentionRecord:
    with AttentionRecord(unet, layers, early_exit) as made:
        made.run(*inputs)
    return made


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
    down = explicit_probabilities(unet, inputs, f"{DOWN}.transformer_blocks.0.attn2")
    up = explicit_probabilities(unet, inputs, f"{UP}.transformer_blocks.0.attn2")
    mean = (down[:, 0] + down[:, 1] + up[:, 1]) / 3  # (B, 16, L)
    assert torch.allclose(made.cross[4], mean.transpose(1, 2).unflatten(2, (4, 4)), atol=1e-6)
    own = explicit_probabilities(unet, inputs, f"{LAST}.transformer_blocks.0.attn1").mean(1)
    assert torch.allclose(made.self, own, atol=1e-6)
    assert made.self.shape == (3, 64, 64)
    assert torch.allclose(made.self.sum(-1), torch.ones(3, 64))


def test_early_exit_gives_the_maps_of_the_full_pass(unet, inputs):
    short, full = record(unet, inputs), record(unet, inputs, early_exit=False)
    for resolution in LAYERS.cross:
        assert torch.equal(short.cross[resolution], full.cross[resolution])
    assert torch.equal(short.self, full.self)


def test_nothing_runs_after_the_last_recorded_layer(unet, inputs):
    ran = []
    handles = [
        unet.get_submodule(name).register_forward_hook(lambda *_, name=name: ran.append(name))
        for name in ("conv_out", f"{LAST}.transformer_blocks.0.ff", f"{LAST}.transformer_blocks.0.attn1.to_v")
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
        assert torch.allclose(whole.self[b], alone.self[0], atol=1e-6)
        for resolution in LAYERS.cross:
            assert torch.allclose(whole.cross[resolution][b], alone.cross[resolution][0], atol=1e-6)


@pytest.mark.parametrize("failing", ["pass", "block"])
def test_processors_are_restored_after_an_exception(unet, inputs, failing):
    before = {name: id(processor) for name, processor in unet.attn_processors.items()}
    context = AttentionRecord(unet, LAYERS)
    with pytest.raises(RuntimeError), context:  # noqa: PT012 both ways of failing leave the block
        assert {name: id(processor) for name, processor in unet.attn_processors.items()} != before
        if failing == "pass":
            context.run(inputs[0][:, :3], inputs[1], inputs[2])  # wrong channel count
        raise RuntimeError("in the block")
    assert {name: id(processor) for name, processor in unet.attn_processors.items()} == before


def test_only_named_layers_are_touched(unet):
    with AttentionRecord(unet, LAYERS):
        changed = [name for name, processor in unet.attn_processors.items() if hasattr(processor, "record")]
    assert len(changed) == 4


def test_a_layer_without_heads_is_left_alone(unet, inputs):
    made = record(unet, inputs, Layers({4: {DOWN: [], UP: [1]}}, {}))
    up = explicit_probabilities(unet, inputs, f"{UP}.transformer_blocks.0.attn2")[:, 1]
    assert torch.allclose(made.cross[4], up.transpose(1, 2).unflatten(2, (4, 4)), atol=1e-6)
    assert made.self is None


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
        AttentionRecord(unet, layers)


def test_a_wrong_resolution_is_named(unet, inputs):
    made = record(unet, inputs, Layers({16: {DOWN: [0]}}))
    with pytest.raises(InputError, match="configured as 16x16, the UNet ran them at 4x4"):
        _ = made.cross
