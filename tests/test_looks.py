"""Several looks at one image: their attention is averaged on the grid of the first."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from iseg import ISeg
from iseg.backbones.table import load_row
from iseg.errors import InputError
from iseg.evaluate.config import Evaluation, variants
from iseg.evaluate.read_config import load_evaluation
from iseg.recipe import Recipe
from iseg.results import Attended
from iseg.views import averaged, matrix_on_grid

LOOKS = [1.0, 0.8333, 0.6667]


def draw(side: int, count: int = 3, further: int = 1) -> Attended:
    attention = torch.rand(side**2, side**2) + 0.01
    tokens = torch.rand(count, side, side)
    more = [draw(side, 2, 0) for _ in range(further)]
    return Attended(tokens, attention / attention.sum(1, keepdim=True), [[1], [2]], ["a", "b"], (30, 50), more)


def weights(side: int, own: int) -> Tensor:
    """What each of `own` cells along a line counts in each of `side` cells, bilinear: (side, own)."""
    return torch.stack(
        [F.interpolate(one[None, None], side, mode="linear", align_corners=False)[0, 0] for one in torch.eye(own)], 1
    )


@pytest.mark.parametrize("own", [3, 4, 7])
def test_a_matrix_on_another_grid_is_that_of_every_pair_of_cells(own):
    line = weights(5, own)
    cells = torch.einsum("ia,jb->ijab", line, line).reshape(25, own**2)
    attention = draw(own).attention
    expected = cells @ attention @ cells.T
    expected = expected / expected.sum(1, keepdim=True)
    found = matrix_on_grid(attention, 5)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(found.sum(1), torch.ones(25))


def test_averaged_is_the_mean_on_the_grid_of_the_first():
    seen = [draw(6), draw(5), draw(4)]
    mean = averaged(seen)
    assert mean.grid_size == 6
    torch.testing.assert_close(mean.attention, sum(matrix_on_grid(each.attention, 6) for each in seen) / 3)
    maps = [each.token_maps for each in seen if each.token_maps is not None]
    large = [F.interpolate(each[None], (6, 6), mode="bilinear")[0] for each in maps]
    shares = [one * (each.grid_size / 6) ** 2 for one, each in zip(large, seen, strict=True)]
    torch.testing.assert_close(mean.token_maps, sum(shares) / 3)
    assert (mean.spans, mean.names, mean.size) == ([[1], [2]], ["a", "b"], (30, 50))
    (further,) = mean.further
    torch.testing.assert_close(further.attention, averaged([each.further[0] for each in seen]).attention)
    assert averaged(seen[:1]) is seen[0]


def test_no_words_no_maps_and_half_precision():
    seen = [replace(draw(4, further=0), token_maps=None), replace(draw(3, further=0), token_maps=None)]
    for each in seen:
        each.attention = each.attention.half()
    mean = averaged(seen)
    assert mean.token_maps is None
    assert mean.attention.dtype == torch.float32


def test_looks_of_one_image_are_passes_of_models_of_these_sizes(tiny, scene):
    state = tiny.set_image(scene)
    found = tiny.attend_image(state, tiny.recipe, [])
    seen = []
    for size in (384, 320, 256):
        own = tiny.recipe.changed(looks=[1])
        alone = ISeg(tiny.at(size).backbone, tiny.backbone.row.recipe_at(own, size))
        seen.append(alone.attend_image(alone.set_image(scene), alone.recipe, []))
    assert [each.grid_size for each in seen] == [48, 40, 32]
    torch.testing.assert_close(found.attention, averaged(seen).attention)
    once = tiny.attend_image(state, tiny.recipe.changed(looks=[1]), [])  # of the same image: another pass
    assert torch.equal(once.attention, seen[0].attention)


def test_a_square_is_encoded_once_per_size_whatever_is_asked(tiny, scene, monkeypatch):
    encoded = []
    encode = tiny.backbone.encode

    def noted(squares):
        encoded.append(squares.shape[-1])
        return encode(squares)

    monkeypatch.setattr(tiny.backbone, "encode", noted)
    state = tiny.set_image(scene)
    for prompts in ({"classes": ["cat"]}, {"points": [(60, 40)]}, {"classes": ["dog"]}):
        tiny.segment(image=state, **prompts)
    assert encoded == [384, 320, 256]


def test_batches_look_as_often(tiny, scene):
    images, words = [scene, scene[:, ::-1].copy()], [["cat"], ["dog", "car"]]
    for image, asked, found in zip(images, words, tiny.segment_batch(images, words), strict=True):
        alone = tiny.segment(asked, image=tiny.set_image(image))
        np.testing.assert_allclose(found.maps, alone.maps, atol=1e-7)


def test_sizes_are_the_nearest_that_the_model_takes():
    row = load_row("tiny")
    assert row.look_sizes(Recipe()) == [384]
    assert row.look_sizes(Recipe(looks=LOOKS)) == [384, 320, 256]
    assert row.look_sizes(Recipe(looks=[1, 0.5, 2])) == [384, 192, 768]
    assert row.at_size(256).look_sizes(Recipe(looks=LOOKS)) == [256, 224, 160]
    assert load_row("sd21-base").look_sizes(Recipe(looks=[1, 0.7])) == [512, 352]
    for name in ("tiny", "sd21-base"):
        row = load_row(name).at_size(load_row(name).image_size + 64)
        for share in np.linspace(0.5, 2, 40):
            row.at_size(row.look_sizes(Recipe(looks=[1, float(share)]))[1])  # none is refused


@pytest.mark.parametrize("given", [[], [0.5], [1, 0.4], [1, 2.5], [1, float("nan")]])
def test_looks_that_cannot_be_are_named(given):
    with pytest.raises(InputError, match=r"looks is .*expected shares of the model's size in 0\.5\.\.2, the first 1"):
        Recipe(looks=given)


def test_data_sets_are_told_of_views():
    with pytest.raises(InputError, match=r"looks is \[1.0, 0.5\]: expected \[1\] for a data set.*views"):
        variants(load_evaluation(["--config", "wsss/voc", "--recipe.looks", "[1,0.5]"], "test"))
    published: Evaluation = load_evaluation(["--config", "wsss/voc"], "test")
    with pytest.raises(InputError, match="variant 'x': looks"):
        variants(replace(published, variants={"x": {"looks": [1, 0.5]}}))
