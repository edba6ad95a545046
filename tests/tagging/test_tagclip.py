"""TagCLIP against the published run's values (golden g), on a small random CLIP and a photograph that is not square."""

import json
from typing import NamedTuple

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

from iseg.tagging import scores, text, vision
from iseg.tagging.settings import TagClip
from iseg.tagging.tagger import Tagger

TEXT_FEATURES = text.text_features
CASES = {  # data set: classes, candidate, mix, threshold
    "voc2012": (20, 0.6, (0.4, 0.8), 0.6),
    "voc_context": (59, 0.2, (0.5, 0.5), 0.2),
    "coco_object": (80, 0.3, (0.8, 0.2), 0.6),
}


class Encoded(NamedTuple):
    """What the image side says: features (1 + N, D), attention of all blocks (layers, N, N), grid (rows, columns)."""

    features: torch.Tensor
    attention: torch.Tensor
    grid: tuple[int, int]


@pytest.fixture(scope="module")
def golden(data):
    return np.load(data / "g_tagclip.npz")


@pytest.fixture(scope="module")
def words(data):
    return json.loads((data / "g_class_names.json").read_text())


@pytest.fixture(scope="module")
def chelsea(data):
    return data / "chelsea.png"


@pytest.fixture(scope="module")
def clip(goldens, golden, words):
    """The golden's CLIP, of which a clone has the image side; its text side gives the golden's features of words."""
    folder = goldens / "tiny_clip"
    model = CLIPModel(CLIPConfig.from_pretrained(folder))
    missing, unexpected = model.load_state_dict(load_file(folder / "model.safetensors"), strict=False)
    assert not unexpected
    assert not [name for name in missing if name.startswith(("vision", "visual"))]
    known = {
        word: feature
        for case in CASES
        for word, feature in zip(words[case], torch.from_numpy(golden[f"{case}_text_features"]), strict=True)
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text, "text_features", lambda _model, _tokenizer, names, _templates: stack(known, names))
        yield model.float().eval().requires_grad_(False)


def stack(known, names):
    return torch.stack([known[name] for name in names])


@pytest.fixture(scope="module")
def tokenizer():
    """Not asked: the features of the words are given."""
    return None


def make_tagger(clip, tokenizer, words, case, variant="published"):
    count, candidate, mix, threshold = CASES[case]
    settings = TagClip(
        variant=variant, background=words[case][count:], candidate=candidate, mix=mix, threshold=threshold
    )  # fmt: skip
    return Tagger(clip, tokenizer, settings), words[case][:count]


@pytest.fixture(scope="module")
def encoded(clip, tokenizer, words, chelsea):
    tagger, _ = make_tagger(clip, tokenizer, words, "voc2012")
    blocks = []
    with torch.inference_mode():
        pixels = tagger.pixels(chelsea)
        features, grid = vision.encode(clip, pixels, lambda _, attention: blocks.append(attention), True)
    return Encoded(features, torch.stack(blocks), grid)


def affinity(attention):
    """As the tagger adds it up."""
    adding = scores.Affinity(votes=4, layers=[8, 9, 10])
    for number, block in enumerate(attention):
        adding.add(number, block)
    return adding.matrix()


def close(found, expected, tolerance):
    """`tolerance`: a number, or an array that broadcasts against the values."""
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    assert found.shape == expected.shape
    excess = np.abs(found - expected) - np.asarray(tolerance, np.float64)
    assert excess.max() <= 0, f"{(excess > 0).sum()} of {excess.size} values are out by up to {excess.max():.3g} more"


def undecided(attention, votes=4, rounding=5e-6):
    """Entries (N, N) bool whose vote hangs on float32 rounding: which way they go depends on the processor."""
    exact = attention.double()
    mean = exact.mean((1, 2), keepdim=True)
    near = (exact - mean).abs() < rounding * mean
    above = exact > mean
    return ((above & ~near).sum(0) < votes) & ((above | near).sum(0) >= votes)


def vote_slack(attention, patch):
    """(N, C): the most that entries with an undecided vote can move `affinity(attention) @ patch`."""
    return (attention[[8, 9, 10]].mean(0) * undecided(attention)) @ patch


def test_the_text_side_is_as_published(all_goldens, golden, words, monkeypatch):
    """With the public tokenizer and the golden's text side, which a clone does not have."""
    monkeypatch.setattr(text, "text_features", TEXT_FEATURES)  # the real ones, whatever ran before
    assert text.read_templates() == json.loads((all_goldens / "g_templates.json").read_text())
    tokenizer = CLIPTokenizer.from_pretrained(all_goldens / "tiny_sd21_shape" / "tokenizer")
    sentences = ["a photo of a cat.", "a bad photo of a tvmonitor."]
    ids = tokenizer(sentences, padding="max_length", max_length=77)["input_ids"]
    np.testing.assert_array_equal(ids, golden["tok"])
    model = CLIPModel.from_pretrained(all_goldens / "tiny_clip", dtype=torch.float32).eval().requires_grad_(False)
    for case in CASES:
        tagger, names = make_tagger(model, tokenizer, words, case)
        close(tagger.texts(names), golden[f"{case}_text_features"], 1e-5)


def test_features_and_attention(golden, encoded):
    assert encoded.grid == (19, 29) == tuple(golden["hw"] // 16)
    close(encoded.features, golden["feat"], 1e-5)
    weights = affinity(encoded.attention)
    close(weights[::50], golden["attn_rows"], 1e-5)


def test_attention_of_the_class_token(golden, clip, tokenizer, words, chelsea):
    tagger, _ = make_tagger(clip, tokenizer, words, "voc2012")
    with torch.inference_mode():
        tokens, _ = vision.embed(clip, tagger.pixels(chelsea)[None], round_positions=True)
        diagonals = []
        for layer in clip.vision_model.encoder.layers:
            tokens, weights = vision.block(layer, tokens)
            diagonals.append(float(weights[0].diagonal().mean()))
    close(weights[0, 0], golden["attn_layer11_row0"], 1e-5)
    close(diagonals, golden["attn_layer_mean_diag"], 1e-6)


@pytest.mark.parametrize("case", CASES)
def test_every_step_is_as_published(golden, clip, tokenizer, words, encoded, case, chelsea):
    tagger, names = make_tagger(clip, tokenizer, words, case)
    texts = tagger.texts(names)
    close(texts, golden[f"{case}_text_features"], 1e-5)
    stored_whole = case == "voc2012"
    patch = scores.probabilities(encoded.features[1:], texts, tagger._scale)
    if stored_whole:
        close(patch, golden["voc2012_coarse"], 1e-5)
    slack = vote_slack(encoded.attention, patch)
    if stored_whole:
        weights = affinity(encoded.attention)
        close(weights @ patch, golden["voc2012_logits_attn"], 1e-5 + slack)
    with torch.inference_mode():
        pixels = tagger.pixels(chelsea)
        maps, grid = tagger.maps(pixels, texts)
        if stored_whole:
            close(maps, golden["voc2012_logits_refined"], 1e-5 + slack)
        # exact wherever no undecided vote can reach the highest value
        highest = maps[:, : len(names)].amax(0)
        reach = ((maps + slack)[:, : len(names)].amax(0) - highest).clamp_min(0)
        close(highest, golden[f"{case}_max_before"], 1e-5 + reach)
        close(tagger.reidentify(pixels, maps, grid, texts, len(names)), golden[f"{case}_max_after"], 1e-5 + reach)


def test_hardly_a_vote_hangs_on_rounding(encoded):
    assert undecided(encoded.attention).sum() <= 2  # of 303,601; so the tolerances above stay tight


@pytest.mark.parametrize("strip_bytes", [vision.STRIP_BYTES, 1 << 20])
@pytest.mark.parametrize("case", CASES)
def test_labels_are_as_published(golden, clip, tokenizer, words, case, strip_bytes, monkeypatch, chelsea):
    monkeypatch.setattr(vision, "STRIP_BYTES", strip_bytes)
    tagger, names = make_tagger(clip, tokenizer, words, case)
    tags = tagger.tag(chelsea, names)
    assert tags.chosen == golden[f"{case}_labels"].tolist()
    close(tags.scores, golden[f"{case}_max_after"], 1e-5)


def test_repaired_differs_where_the_published_slips_act(golden, clip, tokenizer, words, encoded, chelsea):
    published, names = make_tagger(clip, tokenizer, words, "voc2012")
    repaired, _ = make_tagger(clip, tokenizer, words, "voc2012", "repaired")
    assert sum(repaired.settings.weights) == pytest.approx(1)
    assert sum(published.settings.weights) == pytest.approx(1.2)
    with torch.inference_mode():
        exact, _ = vision.encode(clip, repaired.pixels(chelsea), lambda *_: None)
    difference = (exact - encoded.features).abs().max()
    assert 1e-5 < difference < 1e-1  # position embeddings rounded to float16 or not
    tags = repaired.tag(chelsea, names)
    assert np.abs(np.array(tags.scores) - golden["voc2012_max_after"]).max() > 1e-3
    assert all(0 <= score <= 1 for score in tags.scores)


def test_repaired_background_never_repeats_a_class(clip, tokenizer, words):
    published, names = make_tagger(clip, tokenizer, words, "voc_context")
    repaired, _ = make_tagger(clip, tokenizer, words, "voc_context", "repaired")
    assert len(published.texts(names)) == 72
    assert len(repaired.texts(names)) == len({*words["voc_context"]}) == 69
