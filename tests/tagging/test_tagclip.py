"""TagCLIP against the published run's values (golden g), on a small random CLIP and a photograph that is not square."""

import json
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from transformers import CLIPModel, CLIPTokenizer

from iseg.tagging import scores, text, vision
from iseg.tagging.settings import TagClip
from iseg.tagging.tagger import Tagger

GOLDENS = Path(os.environ.get("ISEG_GOLDENS", Path(__file__).parent.parents[2] / "shared" / "goldens"))
pytestmark = pytest.mark.skipif(
    not (GOLDENS / "g_tagclip.npz").is_file(), reason=f"no goldens in {GOLDENS}: set ISEG_GOLDENS to their folder"
)
CASES = {  # data set: classes, candidate, mix, threshold
    "voc2012": (20, 0.6, (0.4, 0.8), 0.6),
    "voc_context": (59, 0.2, (0.5, 0.5), 0.2),
    "coco_object": (80, 0.3, (0.8, 0.2), 0.6),
}
F16 = 1e-3


class Encoded(NamedTuple):
    """What the image side says: features (1 + N, D), attention of all blocks (layers, N, N), grid (rows, columns)."""

    features: torch.Tensor
    attention: torch.Tensor
    grid: tuple[int, int]


@pytest.fixture(scope="module")
def golden():
    return np.load(GOLDENS / "g_tagclip.npz")


@pytest.fixture(scope="module")
def tokenizer():
    return CLIPTokenizer.from_pretrained(GOLDENS / "tiny_sd21_shape" / "tokenizer")


@pytest.fixture(scope="module")
def clip():
    return CLIPModel.from_pretrained(GOLDENS / "tiny_clip", dtype=torch.float32).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def words():
    return json.loads((GOLDENS / "g_class_names.json").read_text())


def make_tagger(clip, tokenizer, words, case, variant="published"):
    count, candidate, mix, threshold = CASES[case]
    settings = TagClip(
        variant=variant, background=words[case][count:], candidate=candidate, mix=mix, threshold=threshold
    )  # fmt: skip
    return Tagger(clip, tokenizer, settings), words[case][:count]


@pytest.fixture(scope="module")
def encoded(clip, tokenizer, words):
    tagger, _ = make_tagger(clip, tokenizer, words, "voc2012")
    blocks = []
    with torch.inference_mode():
        pixels = tagger.pixels(GOLDENS / "chelsea.png")
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


def undecided(attention, votes=4, rounding=2e-6):
    """Entries (N, N) bool whose vote hangs on float32 rounding: which way they go depends on the processor."""
    exact = attention.double()
    mean = exact.mean((1, 2), keepdim=True)
    near = (exact - mean).abs() < rounding * mean
    above = exact > mean
    return ((above & ~near).sum(0) < votes) & ((above | near).sum(0) >= votes)


def vote_slack(attention, patch):
    """(N, C): the most that entries with an undecided vote can move `affinity(attention) @ patch`."""
    return (attention[[8, 9, 10]].mean(0) * undecided(attention)) @ patch


def test_templates_are_the_published_ones():
    assert text.read_templates() == json.loads((GOLDENS / "g_templates.json").read_text())


def test_token_ids(golden, tokenizer):
    sentences = ["a photo of a cat.", "a bad photo of a tvmonitor."]
    ids = tokenizer(sentences, padding="max_length", max_length=77)["input_ids"]
    np.testing.assert_array_equal(ids, golden["tok"])


def test_features_and_attention(golden, encoded):
    assert encoded.grid == (19, 29) == tuple(golden["hw"] // 16)
    close(encoded.features, golden["feat"], 1e-5)
    weights = affinity(encoded.attention)
    close(weights[::50], golden["attn_rows"], 1e-5)


def test_attention_of_the_class_token(golden, clip, tokenizer, words):
    tagger, _ = make_tagger(clip, tokenizer, words, "voc2012")
    with torch.inference_mode():
        tokens, _ = vision.embed(clip, tagger.pixels(GOLDENS / "chelsea.png")[None], round_positions=True)
        diagonals = []
        for layer in clip.vision_model.encoder.layers:
            tokens, weights = vision.block(layer, tokens)
            diagonals.append(float(weights[0].diagonal().mean()))
    close(weights[0, 0], golden["attn_layer11_row0"], 1e-5)
    close(diagonals, golden["attn_layer_mean_diag"], 1e-6)


@pytest.mark.parametrize("case", CASES)
def test_every_step_is_as_published(golden, clip, tokenizer, words, encoded, case):
    tagger, names = make_tagger(clip, tokenizer, words, case)
    texts = tagger.texts(names)
    close(texts, golden[f"{case}_text_features"], 1e-5)
    stored_whole = case == "voc2012"
    patch = scores.probabilities(encoded.features[1:], texts, tagger._scale)
    close(patch, golden[f"{case}_coarse"], 1e-5 if stored_whole else F16)
    slack = vote_slack(encoded.attention, patch)
    if stored_whole:
        weights = affinity(encoded.attention)
        close(weights @ patch, golden["voc2012_logits_attn"], 1e-5 + slack)
    with torch.inference_mode():
        pixels = tagger.pixels(GOLDENS / "chelsea.png")
        maps, grid = tagger.maps(pixels, texts)
        close(maps, golden[f"{case}_logits_refined"], (1e-5 if stored_whole else F16) + slack)
        # exact wherever no undecided vote can reach the highest value
        highest = maps[:, : len(names)].amax(0)
        reach = ((maps + slack)[:, : len(names)].amax(0) - highest).clamp_min(0)
        close(highest, golden[f"{case}_max_before"], 1e-5 + reach)
        close(tagger.reidentify(pixels, maps, grid, texts, len(names)), golden[f"{case}_max_after"], 1e-5 + reach)


def test_one_vote_at_most_hangs_on_rounding(encoded):
    assert undecided(encoded.attention).sum() <= 1  # of 303,601; so the tolerances above stay tight


@pytest.mark.parametrize("strip_bytes", [vision.STRIP_BYTES, 1 << 20])
@pytest.mark.parametrize("case", CASES)
def test_labels_are_as_published(golden, clip, tokenizer, words, case, strip_bytes, monkeypatch):
    monkeypatch.setattr(vision, "STRIP_BYTES", strip_bytes)
    tagger, names = make_tagger(clip, tokenizer, words, case)
    tags = tagger.tag(GOLDENS / "chelsea.png", names)
    assert tags.chosen == golden[f"{case}_labels"].tolist()
    close(tags.scores, golden[f"{case}_max_after"], 1e-5)


def test_repaired_differs_where_the_published_slips_act(golden, clip, tokenizer, words, encoded):
    published, names = make_tagger(clip, tokenizer, words, "voc2012")
    repaired, _ = make_tagger(clip, tokenizer, words, "voc2012", "repaired")
    assert sum(repaired.settings.weights) == pytest.approx(1)
    assert sum(published.settings.weights) == pytest.approx(1.2)
    with torch.inference_mode():
        exact, _ = vision.encode(clip, repaired.pixels(GOLDENS / "chelsea.png"), lambda *_: None)
    difference = (exact - encoded.features).abs().max()
    assert 1e-5 < difference < 1e-1  # position embeddings rounded to float16 or not
    tags = repaired.tag(GOLDENS / "chelsea.png", names)
    assert np.abs(np.array(tags.scores) - golden["voc2012_max_after"]).max() > 1e-3
    assert all(0 <= score <= 1 for score in tags.scores)


def test_repaired_background_never_repeats_a_class(clip, tokenizer, words):
    published, names = make_tagger(clip, tokenizer, words, "voc_context")
    repaired, _ = make_tagger(clip, tokenizer, words, "voc_context", "repaired")
    assert len(published.texts(names)) == 72
    assert len(repaired.texts(names)) == len({*words["voc_context"]}) == 69
