"""Many classes: prompts past the model's length are split into passes and merged before the background decision."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from iseg import ClassWord, ISeg, masks, passes, prompt, solve
from iseg.backbones.table import BackboneRow
from iseg.backbones.unet import UNetBackbone
from iseg.errors import InputError
from iseg.prompt import class_words
from iseg.recipe import Recipe
from iseg.results import Attended

TEMPLATE = "a photograph of {classes} and other object and background, {context}"


class WordTokenizer:
    """One token per word or comma between a begin and an end token, with CLIP's interface."""

    def __init__(self, length):
        self.model_max_length = length

    def __call__(self, text, return_offsets_mapping=False, truncation=False, **_):
        spans = [match.span() for match in re.finditer(r"\w+|,", text)]
        if truncation:
            spans = spans[: self.model_max_length - 2]
        offsets = [(0, 0), *spans, (0, 0)]
        return {"input_ids": list(range(len(offsets))), "offset_mapping": offsets}


def words(count):
    return [ClassWord(f"thing{k}") if k % 3 else ClassWord(f"blue thing{k}", f"thing{k}") for k in range(count)]


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 40), st.integers(8, 60), st.sampled_from(["", "grass, sky, water"]))
def test_groups_keep_order_fit_and_are_as_few_as_can_be(count, length, context):
    tokenizer, classes = WordTokenizer(length), words(count)
    prompts = prompt.split(tokenizer, TEMPLATE, classes, context)
    assert [entry for each in prompts for entry in each.words] == classes
    for each, following in zip(prompts, [*prompts[1:], None], strict=True):
        prompt.tokenize(tokenizer, each)
        if following:
            longer = prompt.build(TEMPLATE, [*each.words, following.words[0]], context)
            with pytest.raises(InputError, match="lies past token"):
                prompt.tokenize(tokenizer, longer)


def test_a_class_that_fits_nowhere_is_named():
    tokenizer = WordTokenizer(8)
    classes = [ClassWord("cat"), ClassWord("a very long name of a dog", "dog")]
    prompts = prompt.split(tokenizer, TEMPLATE, classes)
    assert [each.words for each in prompts] == [(classes[0],), (classes[1],)]
    with pytest.raises(InputError, match="very long name"):
        prompt.tokenize(tokenizer, prompts[1])


GRID = 12


class Stand(ISeg):
    """Attention made from the words of a pass in place of a UNet's; words are counted by `WordTokenizer`."""

    def __init__(self, length):
        backbone = BackboneRow("stand", [], {16: {"a": 1}, 32: {"b": 1}}, {"c": 1}, image_size=GRID)
        nothing = torch.nn.Module()
        parts = UNetBackbone(
            backbone, "", WordTokenizer(length), nothing, None, nothing, None, torch.device("cpu"), torch.float32
        )
        super().__init__(parts, Recipe(prompt=TEMPLATE, iterations=3, background="power", working_size=24))
        self.prompts = []

    def encode_squares(self, squares):
        return torch.zeros(len(squares), 1, 2, 2)

    def record(self, _backbone, latents, prompts, sizes, _recipe):
        words = [each.words for each in prompts]
        assert len(latents) == len(words) == len(sizes)
        self.prompts += [[entry.word for entry in group] for group in words]
        return [self.attended(group, size) for group, size in zip(words, sizes, strict=True)]

    def attended(self, group, size):
        seed = sum(map(ord, "".join(entry.word for entry in group)))
        generator = torch.Generator().manual_seed(seed)
        maps = torch.rand((len(group), GRID, GRID), generator=generator)
        attention = torch.rand((GRID**2, GRID**2), generator=generator)
        spans = [[k] for k in range(len(group))]
        return Attended(maps, attention, spans, [entry.word for entry in group], size)


@pytest.fixture
def stand(monkeypatch):
    """Makes a `Stand` whose `record` takes the place of the UNet pass."""

    def make(length):
        model = Stand(length)
        monkeypatch.setattr(passes, "_record", model.record)
        return model

    return make


def image():
    return np.zeros((40, 66, 3), np.uint8)


@pytest.mark.parametrize("count", [1, 5, 11])
def test_passes_are_merged_before_the_background_decision(stand, count):
    model = stand(length=13)  # a few words per prompt
    model.set_image(image())
    names = [f"thing{k}" for k in range(count)]
    result = model.segment(classes=names)
    assert result.names == names == [name for group in result.groups for name in group]
    assert result.groups == model.prompts
    assert (len(result.groups) > 1) == (count > 3)
    alone = [model.attended(class_words(group), (40, 66)) for group in result.groups]
    columns = torch.cat([solve.refine_classes(each, model.recipe)[-1] for each in alone], 1)
    scores = masks.score_maps(columns, (40, 66), model.recipe.working_size)
    np.testing.assert_array_equal(result.scores, scores)
    np.testing.assert_array_equal(result.mask, masks.label_map(scores, range(1, count + 1), "power"))


def test_one_pass_where_all_classes_fit(stand):
    classes = ["cat", "dog"]
    model = stand(length=77)
    general = model.attend([image()], [classes])[0]
    single = model.attended(class_words(classes), (40, 66))
    assert general.further == []
    assert torch.equal(general.token_maps, single.token_maps)
    assert model.prompts == [classes]
    assert torch.equal(solve.refine_classes(general, model.recipe), solve.refine_classes(single, model.recipe))


def test_a_batch_keeps_each_image_with_its_own_classes(stand):
    model = stand(length=13)
    few, many = ["thing1", "thing2"], [f"thing{k}" for k in range(9)]
    results = model.segment_batch([image(), image()[:20], image()], [few, many, few])
    assert [len(result.names) for result in results] == [2, 9, 2]
    assert [result.mask.shape for result in results] == [(40, 66), (20, 66), (40, 66)]
    np.testing.assert_array_equal(results[0].scores, results[2].scores)
