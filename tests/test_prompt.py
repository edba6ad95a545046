"""Prompts: text, spans by offset mapping, enhancement. The tokenizer is the embedded model's."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from iseg.errors import InputError
from iseg.prompt import ClassWord, build, enhance, tokenize

TEMPLATE = "a photograph of {classes} and other object and background, {context}"


@pytest.fixture(scope="module")
def tokenizer(tiny):
    return tiny.backbone.tokenizer


def test_text_is_to_the_letter():
    words = [ClassWord("cat"), ClassWord("potted plant", "plant")]
    built = build(TEMPLATE, words, "ground, land")
    assert built.text == "a photograph of cat and potted plant and other object and background, ground, land"
    assert [built.text[a:b] for a, b in built.spans] == ["cat", "plant"]


@given(st.lists(st.text("abcdefgh xyz", min_size=1, max_size=12).filter(str.strip), min_size=1, max_size=6))
@settings(max_examples=40, deadline=None)
def test_character_spans_hold_the_words_whatever_they_are(words):
    built = build(TEMPLATE, [ClassWord(word) for word in words], "grass")
    assert [built.text[a:b] for a, b in built.spans] == [word.strip() for word in words]


@given(st.lists(st.sampled_from(["cat", "dining table", "tv monitor", "person", "zebra", "fire hydrant"]), min_size=1,
                max_size=4))  # fmt: skip
@settings(max_examples=30, deadline=None)
def test_token_spans_spell_the_words(tokenizer, words):
    entries = [ClassWord(word) for word in words]
    ids, spans = tokenize(tokenizer, build(TEMPLATE, entries, ""))
    assert len(ids) == tokenizer.model_max_length
    assert [tokenizer.decode([ids[i] for i in span]).strip() for span in spans] == words
    flat = [i for span in spans for i in span]
    assert flat == sorted(set(flat))  # in order, none shared


def test_focus_after_a_word_of_several_tokens(tokenizer):
    entries = [ClassWord("fire hydrant", "hydrant"), ClassWord("cat")]
    ids, spans = tokenize(tokenizer, build(TEMPLATE, entries))
    assert [tokenizer.decode([ids[i] for i in span]).strip() for span in spans] == ["hydrant", "cat"]


def test_a_class_past_the_last_token_is_named(tokenizer):
    entries = [ClassWord(f"cat number {k}") for k in range(60)]
    with pytest.raises(InputError, match=r"class 'cat number \d+' lies past token"):
        tokenize(tokenizer, build(TEMPLATE, entries))


def test_text_after_the_classes_may_be_cut(tokenizer):
    entries = [ClassWord("cat")]
    ids, spans = tokenize(tokenizer, build(TEMPLATE, entries, "grass, " * 100))
    assert len(ids) == tokenizer.model_max_length
    assert spans[0][0] > 0


def test_enhancement_scales_the_focus_tokens_once_and_nothing_else():
    embeddings = torch.rand(10, 4)
    before = embeddings.clone()
    scaled = enhance(embeddings, [[2, 3], [3]], 1.6)
    assert torch.equal(embeddings, before)
    assert torch.equal(scaled[[2, 3]], embeddings[[2, 3]] * 1.6)
    rest = [i for i in range(10) if i not in (2, 3)]
    assert torch.equal(scaled[rest], embeddings[rest])


@pytest.mark.parametrize(
    ("template", "words", "message"),
    [
        ("a photo", [ClassWord("cat")], "must contain {classes} once"),
        ("{classes} {classes}", [ClassWord("cat")], "must contain {classes} once"),
        (TEMPLATE, [], "no class"),
        (TEMPLATE, [ClassWord("cat"), ClassWord("  ")], "class 2 is empty"),
        (TEMPLATE, [ClassWord("potted plant", "tree")], "focus 'tree' is not a part"),
    ],
)
def test_bad_prompts(template, words, message):
    with pytest.raises(InputError, match=message):
        build(template, words)
