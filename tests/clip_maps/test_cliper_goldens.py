"""CLIPer stage by stage against the published code's outputs (golden h), at the tolerances given with them."""

import json

import golden_inputs as inputs
import golden_models
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

from iseg import ISeg, masks
from iseg.clip_maps import ClipMaps, ClipSource, coarse, decision, encode, fusion, product, segment, windows
from iseg.clip_maps.settings import load_clip_maps
from iseg.clip_maps.source import Texts
from iseg.files.images import to_square

CASES = {  # picture and case: classes, settings
    "chelsea_voc21": ("voc", ClipMaps(min_max=True, background_threshold=0.4)),
    "chelsea_voc21_b16": ("voc", ClipMaps(scale=100, select=-1)),
    "chelsea_coco_slide": ("coco", ClipMaps(crop=224)),
    "random_voc21": ("voc", ClipMaps(min_max=True, background_threshold=0.4)),
    "random_voc21_slide": ("voc", ClipMaps(crop=336)),
}


def close(found, expected, tolerance):
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < tolerance


@pytest.fixture(scope="module")
def golden(data):
    return np.load(data / "h_cliper.npz")


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """The golden's CLIP, of which a clone has the image side."""
    folder = golden_models.build_cliper(tmp_path_factory.mktemp("cliper"))
    model = CLIPModel(CLIPConfig.from_pretrained(folder))
    missing, unexpected = model.load_state_dict(load_file(folder / "model.safetensors"), strict=False)
    assert not unexpected
    assert not [name for name in missing if name.startswith(("vision", "visual"))]
    return model.float().eval().requires_grad_(False)


def picture(data, name):
    return data / ("chelsea.png" if name == "chelsea" else "cliper_random.png")


def source(clip, golden, words, settings):
    """A source whose text matrix is that of the golden's features; a clone has no text side."""
    classes, others = (torch.from_numpy(golden[f"text_{words}_{kind}"]) for kind in ("fg", "bg"))
    made = ClipSource(clip, None, settings)
    names = [f"class {number}" for number in range(len(classes))]
    made._texts[tuple(names)] = Texts(coarse.text_matrix(classes, others), [1] * len(classes))
    return made, names


def test_texts(all_goldens, golden):
    """Tokens, templates, class and background words of the published run; the text side that a clone does not have."""
    tokenizer = CLIPTokenizer.from_pretrained(all_goldens / "tiny_sd21_shape" / "tokenizer")
    sentences = ["a photo of a person with clothes, people, human.", "itap of my tvmonitor screen.",
                 "This is a photo of a bird avian"]  # fmt: skip
    np.testing.assert_array_equal(
        tokenizer(sentences, padding="max_length", max_length=77)["input_ids"], golden["text_ids"]
    )
    published = json.loads((all_goldens / "cliper" / "templates.json").read_text())
    names = json.loads((all_goldens / "cliper" / "class_names.json").read_text())
    features = np.load(all_goldens / "cliper" / "text.npz")
    model = CLIPModel.from_pretrained(all_goldens / "cliper" / "tiny_clip_p14", dtype=torch.float32).eval()
    recipes = {"voc": ("voc21", "short15"), "context": ("context59", "openai80"), "coco": ("coco-object", "openai80")}
    for case, (recipe, templates) in recipes.items():
        settings = load_clip_maps(f"ovs/cliper/{recipe}", templates=templates)
        made = ClipSource(model, tokenizer, settings)
        assert made.templates == published[templates]
        classes = [name.strip() for name in names[case]["classes"]]
        assert sorted(settings.names or []) == sorted(classes)  # Context's masks are numbered otherwise here
        assert settings.background == names[case]["background"]
        close(made.word_features(classes), features[f"{case}_fg"], 1e-5)
        close(made.word_features(settings.background), features[f"{case}_bg"], 1e-5)
        assert made.texts(classes).matrix.shape == (len(classes) + len(settings.background) + 1, 64)


def test_fusion(clip, golden):
    balanced = torch.from_numpy(golden["units_fuse_in"])[0].clone()
    attention = clip.vision_model.encoder.layers[-1].self_attn
    for number in (1, 2, 3):
        fusion.balance_(balanced)
        weights = torch.stack([fusion.head_weights(head) for head in balanced])
        close(weights, golden[f"units_fuse_weights_{number}"], 1e-6)
        fused, mean = encode.fuse_layer(attention, torch.from_numpy(golden["units_fuse_x"])[:, 0], balanced)
        close(fused, golden[f"units_fuse_out_{number}"], 1e-6)
        close(mean, weights.mean(0), 1e-6)
    close(balanced, golden["units_fuse_state_3"][0], 1e-6)


@pytest.mark.parametrize("name", ["chelsea", "random"])
def test_features(clip, golden, data, name):
    pixels = encode.to_pixels(Image.open(picture(data, name)), 14, 336)
    assert (1, *pixels.shape) == tuple(golden[f"{name}_clip_input_shape"])
    close(pixels[:, ::16, ::16], golden[f"{name}_clip_input_sub"], 1e-5)
    with torch.inference_mode():
        features, _, _ = encode.encode(clip, pixels)
    close(features[:, golden[f"{name}_feat_rows"]], golden[f"{name}_feat"], 2e-5)


@pytest.mark.parametrize("case", CASES)
def test_coarse_maps(clip, golden, data, case):
    words, settings = CASES[case]
    made, names = source(clip, golden, words, settings)
    maps = made.maps(picture(data, case.split("_")[0]), names)
    step = 1 if case.endswith("voc21") else 4
    close(maps[::step], golden[f"{case}_coarse"], 5e-5)
    close(maps.flatten(1).amax(1), golden[f"{case}_coarse_max"], 5e-5)


@torch.inference_mode()
def test_logits_of_the_sliding_window(clip, golden, data):
    made, names = source(clip, golden, "voc", ClipMaps(crop=336))
    pixels = made.pixels(Image.open(picture(data, "random")), 336)
    grid = (pixels.shape[1] // 14, pixels.shape[2] // 14)
    logits = made._look_closer(pixels, made.texts(names), grid).unflatten(2, grid)
    close(logits[:, ::8, ::3, ::3], golden["random_voc21_slide_slide_logits_sub"], 2e-4)


@pytest.mark.parametrize("threshold", [0.1, 0.2])
def test_product_of_heads(golden, threshold):
    maps = masks.resize(torch.from_numpy(inputs.blobs(50, 3, 36)[:, :24].astype(np.float32)), (64, 64))
    heads = (torch.from_numpy(inputs.self_attention([head])) for head in range(4, -1, -1))
    refined = product.apply_heads(heads, maps.flatten(1).T, threshold)
    close(refined.T.reshape(3, 64, 64), golden[f"units_refine_thr{threshold}"], 2e-5)


def test_decision(golden):
    refined = torch.from_numpy(inputs.blobs(91, 6, 64).astype(np.float32))
    scores = decision.class_scores(refined, torch.tensor([0.9, 0.1, 0.6, 0.35, 0.5, 0.75]))
    close(scores, golden["units_tail_score"], 1e-6)
    size = (75, 110)
    close(torch.stack(list(decision.each_final(refined, scores, size, False))), golden["units_tail_up"], 1e-6)
    ways = {"norm": (True, 0.4, 0.9), "plain": (False, 0.8, 0.9), "low": (False, 0.0001, 0.9), "power": (False, 0, 0.9),
            "none": (False, 0.5, 9)}  # fmt: skip
    for name, (min_max, background, score) in ways.items():
        settings = ClipMaps(min_max=min_max, background_threshold=background, score_threshold=score)
        labels = decision.decide(refined, scores, size, settings)
        assert np.array_equal(labels, golden[f"units_tail_labels_{name}"])


def test_masks_of_a_photograph(goldens, golden, data):
    seg = ISeg.from_pretrained(goldens / "tiny_sd21_shape", device="cpu", dtype="float32", backbone="sd21-base")
    for layer in ("0", "1"):  # without this its maps are flat
        path = f"up_blocks.3.attentions.{layer}.transformer_blocks.0.attn1"
        attention = seg.backbone.unet.get_submodule(path)  # type: ignore[attr-defined]
        attention.to_k.weight.data.copy_(attention.to_q.weight.data)
        attention.to_q.weight.data.mul_(14)
    state = seg.set_image(picture(data, "chelsea"))
    latents = seg.encode_squares([to_square(state.pixels, 512, "nearest")])
    close(latents[0], golden["chelsea_latents"], 2e-5)
    close(seg.backbone.noised(latents, 101)[0], golden["chelsea_noisy"], 2e-5)
    heads = seg.heads(state, 101)
    close(
        torch.stack([head.matrix()[golden["chelsea_sd_rows_index"]] for head in heads]), golden["chelsea_sd_rows"], 5e-4
    )
    settings = CASES["chelsea_voc21"][1]
    maps, ids = torch.from_numpy(golden["chelsea_voc21_coarse"]), list(range(1, 21))
    found = segment.find_by_clip(seg, state, maps, [str(k) for k in ids], settings, seg.recipe, ids)
    close(found.scores, golden["chelsea_voc21_score"], 5e-4)
    assert np.mean(found.result.mask != golden["chelsea_voc21_labels"]) < 1e-3
    assert found.alive == [int(k) - 1 for k in np.unique(golden["chelsea_voc21_labels"]) if k]


def test_windows_cover_the_picture_and_stay_inside():
    assert windows.windows((336, 504), 336, 112) == [(0, 0, 336, 336), (0, 112, 336, 448), (0, 168, 336, 504)]
    assert windows.windows((100, 90), 224, 112) == [(0, 0, 100, 90)]
