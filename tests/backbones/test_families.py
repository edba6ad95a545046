"""Each family on a small random model of its shape: recorded maps, early exit, batches, the whole path."""

from contextlib import suppress
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, DDIMScheduler
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl import StableDiffusionXLPipeline
from family_models import FAMILY_ROWS, TOKENIZER, small_row, write_model, write_table
from narrow import self_attention
from transformers import CLIPTokenizer

from iseg import ISeg, prompt
from iseg.attention import Layers
from iseg.backbones.load import load
from iseg.backbones.recording import PassEnded, Recording, end_pass
from iseg.backbones.table import load_row, with_sources
from iseg.prompt import class_words
from iseg.recipe import Recipe

WORDS = ["cat", "potted plant"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("families")
    return {name: write_model(root / name, name) for name in FAMILY_ROWS}


@pytest.fixture(scope="module")
def models(folders):
    """Loaded once: SDXL's 70 transformer blocks take a while to build, however small."""
    rows = {name: with_sources(small_row(name), [str(folder)]) for name, folder in folders.items()}
    return {name: load(row, "cpu", "float32") for name, row in rows.items()}


@pytest.fixture(params=FAMILY_ROWS)
def model(request, models):
    return models[request.param]


def inputs(model, count=2):
    """Noised latents and conditions of non-square images."""
    generator = torch.Generator().manual_seed(5)
    size = model.row.image_size
    squares = torch.rand(count, 3, size, size, generator=generator)
    prompts = [prompt.build("a photograph of {classes}", class_words(WORDS[: k + 1]), "", 1.6) for k in range(count)]
    return model.noised(model.encode(squares)), model.condition(prompts)


class KeepAll:
    """A processor that keeps every head's explicit probabilities and computes the output from them."""

    def __init__(self, kept: dict, name: str) -> None:
        self.kept, self.name = kept, name

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, *args, **kwargs):
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query, key, value = (
            attn.head_to_batch_dim(each) for each in (attn.to_q(hidden_states), attn.to_k(context), attn.to_v(context))
        )
        scores = attn.get_attention_scores(query, key)
        self.kept[self.name] = scores.unflatten(0, (len(hidden_states), attn.heads))
        return attn.to_out[1](attn.to_out[0](attn.batch_to_head_dim(scores @ value)))


@torch.inference_mode()
def all_attention(model, latents, condition) -> dict[str, torch.Tensor]:
    """{path of the attention module: (B, heads, queries, keys)} of a whole pass in which every layer is kept."""
    kept: dict[str, torch.Tensor] = {}
    before = dict(model.unet.attn_processors)
    model.unet.set_attn_processor(
        {name: KeepAll(kept, name.removesuffix(".processor")) for name in model.unet.attn_processors}
    )
    model.unet(
        latents, model.row.timestep, encoder_hidden_states=condition.embeddings, added_cond_kwargs=condition.added
    )
    model.unet.set_attn_processor(before)
    return kept


def mean_heads(kept, layers, kind):
    return torch.cat([kept[f"{name}.{kind}"][:, heads] for name, heads in layers.items() if heads], 1).mean(1)


def test_recorded_maps_are_those_of_a_pass_that_keeps_all(model):
    latents, condition = inputs(model)
    layers = model.row.layers(Recipe().changed(**model.row.recipe))
    found = model.record(latents, condition, layers)
    kept = all_attention(model, latents, condition)
    for side, chosen in layers.cross_attention.items():
        expected = mean_heads(kept, chosen, "attn2").transpose(1, 2).unflatten(2, (side, side))
        torch.testing.assert_close(found.cross_attention[side], expected, rtol=0, atol=1e-5)
        assert expected.std() > 1e-5  # the maps say something
    torch.testing.assert_close(
        found.self_attention, mean_heads(kept, layers.self_attention, "attn1"), rtol=0, atol=1e-5
    )
    side = max(layers.cross_attention) * (1 if model.row.family == "sdxl" else 2)
    assert found.self_attention.shape == (2, side**2, side**2)


def test_squares_of_another_size_have_their_own_resolutions(model, monkeypatch):
    own, recipe = model.row, Recipe().changed(**model.row.recipe)
    size = own.image_size * 3 // 2  # grids with an odd number of cells, too
    monkeypatch.setattr(model, "row", own.at_size(size))
    latents, condition = inputs(model, 1)
    found = model.record(latents, condition, model.row.layers(own.recipe_at(recipe, size)))
    assert [maps.shape[2:] for maps in found.cross_attention.values()] == [
        (side * 3 // 2, side * 3 // 2) for side in recipe.cross_weights
    ]
    assert found.self_attention.shape[1] % 9 == 0


def test_layers_are_in_the_order_of_execution(model):
    latents, condition = inputs(model, 1)
    ran = [name.rsplit(".", 1)[0] for name in all_attention(model, latents, condition) if name.endswith(".attn2")]
    for layers in (*model.row.cross_layers.values(), model.row.self_layers):
        assert list(layers) == [name for name in ran if name in layers]


def test_early_exit_equals_the_full_pass(model):
    latents, condition = inputs(model)
    layers = model.row.layers(Recipe().changed(**model.row.recipe))
    short = model.record(latents, condition, layers)
    full = model.record(latents, condition, layers, early_exit=False)
    assert torch.equal(short.self_attention, full.self_attention)
    for side in layers.cross_attention:
        assert torch.equal(short.cross_attention[side], full.cross_attention[side])


def test_a_batch_is_its_images_one_by_one(model):
    images = [
        np.random.default_rng(k).integers(0, 256, size, np.uint8) for k, size in enumerate(((40, 70, 3), (66, 30, 3)))
    ]
    words = [WORDS, WORDS[:1]]
    seg = ISeg(model, Recipe().changed(**model.row.recipe))
    together = seg.segment_batch(images, words)
    for image, own, result in zip(images, words, together, strict=True):
        alone = seg.segment_batch([image], [own])[0]
        np.testing.assert_allclose(result.scores, alone.scores, atol=2e-3)
        assert result.mask.shape == image.shape[:2]


@pytest.mark.parametrize("name", FAMILY_ROWS)
def test_from_a_folder_to_a_mask(name, folders, monkeypatch, tmp_path, scene):
    table = write_table(tmp_path)
    monkeypatch.setattr("iseg.backbones.table.configs_folder", lambda: table)
    seg = ISeg.from_pretrained(folders[name], backbone=name, device="cpu")
    seg.set_image(scene)
    result = seg.segment(classes=WORDS)
    assert result.mask.shape == scene.shape[:2]
    assert result.scores.shape == (2, *scene.shape[:2])
    assert np.isfinite(result.scores).all()
    assert seg.segment(points=[(60, 40)]).mask.any()
    if name != "sd-turbo":  # the same UNet as sd21-base, which is taken
        assert ISeg.from_pretrained(folders[name], device="cpu").backbone.row.name == name


@torch.inference_mode()
def test_sdxl_is_told_what_diffusers_tells_it(folders, models):
    model = models["sdxl"]
    text = prompt.build("a photograph of {classes} and grass", class_words(WORDS))
    ours = model.condition([text])
    make: Any = StableDiffusionXLPipeline  # parts that are not used are None
    pipeline = make(
        vae=None, unet=model.unet, scheduler=model.scheduler, text_encoder=model.text_encoder,
        text_encoder_2=model.second.model, tokenizer=model.tokenizer,
        tokenizer_2=CLIPTokenizer.from_pretrained(folders["sdxl"] / "tokenizer_2"),
    )  # fmt: skip
    states, _, pooled, _ = pipeline.encode_prompt(text.text, device="cpu", do_classifier_free_guidance=False)
    assert torch.equal(ours.embeddings, states)
    assert torch.equal(ours.added["text_embeds"], pooled)
    size = (model.row.image_size,) * 2
    ids = pipeline._get_add_time_ids(size, (0, 0), size, torch.float32, text_encoder_projection_dim=12)
    assert torch.equal(ours.added["time_ids"], ids)
    enhanced = model.condition([prompt.build("a photograph of {classes} and grass", class_words(WORDS), "", 1.6)])
    focus = sorted({token for span in ours.spans[0] for token in span})
    others = [token for token in range(77) if token not in focus]
    assert torch.equal(enhanced.embeddings[0, focus], 1.6 * states[0, focus])
    assert torch.equal(enhanced.embeddings[0, others], states[0, others])
    assert torch.equal(enhanced.added["text_embeds"], pooled)


def test_the_full_rows():
    heads = {name: {side: sum(layers.values()) for side, layers in load_row(name).cross_layers.items()}
             for name in FAMILY_ROWS}  # fmt: skip
    assert heads == {
        "sd15": {16: 40, 32: 24}, "sd21-base": {16: 100, 32: 30}, "sd-turbo": {16: 100, 32: 30},
        "sdxl": {32: 1000, 64: 60},
    }  # fmt: skip
    for name in FAMILY_ROWS:
        row = load_row(name)
        layers = row.layers(Recipe().changed(**row.recipe))
        first = next(iter(layers.cross_attention[max(layers.cross_attention)]))
        assert first.startswith("down_blocks.1.attentions.1")
        assert layers.cross_attention[max(layers.cross_attention)][first] == []  # left out, as in the interactive mode
        assert row.licence
        assert row.tokens == 77


@torch.inference_mode()
def test_a_pipeline_of_diffusers_is_recorded_while_it_generates(folders, models):
    model = models["sd15"]
    make: Any = StableDiffusionPipeline  # parts that are not used are None
    pipeline = make(
        vae=AutoencoderKL.from_pretrained(folders["sd15"] / "vae"), text_encoder=model.text_encoder,
        tokenizer=CLIPTokenizer.from_pretrained(TOKENIZER), unet=model.unet, safety_checker=None,
        scheduler=DDIMScheduler.from_config(model.scheduler.config), feature_extractor=None,
        requires_safety_checker=False,
    )  # fmt: skip
    pipeline.set_progress_bar_config(disable=True)
    down, last = "down_blocks.2.attentions.0.transformer_blocks.0", "up_blocks.3.attentions.1.transformer_blocks.0"
    layers = Layers({2: {down: [0, 7]}}, {last: [1, 2]})
    steps = []
    handle = model.unet.register_forward_pre_hook(
        lambda _, args, kwargs: steps.append((*args, kwargs["encoder_hidden_states"])), with_kwargs=True
    )
    generator = torch.Generator().manual_seed(0)
    with Recording(model.unet, layers, "conditional") as recording:
        made = pipeline("a cat and a dog", height=64, width=64, num_inference_steps=3, guidance_scale=7.5,
                        generator=generator, output_type="np").images  # fmt: skip
        found = recording.take()
    handle.remove()
    assert made.shape == (1, 64, 64, 3)
    assert len(steps) == 3
    assert all(len(latents) == 2 for latents, _, _ in steps)  # [unconditional, conditional]
    singles = []
    for latents, step, states in steps:
        with Recording(model.unet, layers, on_complete=end_pass) as single, suppress(PassEnded):
            model.unet(latents[1:], step, encoder_hidden_states=states[1:])
        singles.append(single.take())
    cross = torch.stack([each.cross_attention[2] for each in singles]).mean(0)
    own = torch.stack([self_attention(each) for each in singles]).mean(0)
    torch.testing.assert_close(found.cross_attention[2], cross, rtol=0, atol=1e-6)
    torch.testing.assert_close(found.self_attention, own, rtol=0, atol=1e-6)
    assert not torch.equal(self_attention(singles[0]), self_attention(singles[2]))
