"""CLIP's maps at the edges: what is 0/0 in the published code, several names, a single class, nothing alive."""

import pytest
import torch

from iseg.clip_maps import ClipMaps, coarse, decision, fusion, product, segment
from iseg.clip_maps.texts import kept_features, other_words, split_names
from iseg.errors import InputError


def test_rows_of_nothing_keep_to_themselves():
    assert torch.equal(fusion.head_weights(torch.ones(1, 1)), torch.ones(1, 1))
    assert torch.equal(fusion.head_weights(torch.full((5, 5), 0.2)), torch.eye(5))


def test_the_product_is_that_of_the_matrices():
    heads = torch.rand(3, 12, 12, generator=torch.Generator().manual_seed(1))
    maps = torch.rand(12, 2, generator=torch.Generator().manual_seed(2))
    sharp = [product.sharpen_(head.clone(), 0.4) for head in heads]
    found = product.apply_heads((head.clone() for head in heads.flip(0)), maps, 0.4)
    torch.testing.assert_close(found, sharp[0] @ sharp[1] @ sharp[2] @ maps)


def test_names_of_a_class_add_up_and_a_single_class_has_no_twin():
    logits = torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(3))
    both = coarse.class_probabilities(logits, [2, 1])
    torch.testing.assert_close(both[:, 0], logits.softmax(1)[:, :2].sum(1))
    assert len(coarse.text_matrix(torch.eye(3)[:1], torch.eye(3)[1:])) == 3


def test_nothing_alive_is_background():
    labels = decision.decide(torch.rand(2, 4, 4), torch.zeros(2), (5, 7), ClipMaps())
    assert labels.shape == (5, 7)
    assert not labels.any()


def test_words():
    assert split_names(["cat", "sofa | couch"]) == [["cat"], ["sofa", "couch"]]
    assert other_words(["Couch", "sky", "sky"], [["sofa", "couch"]]) == ["sky"]
    with pytest.raises(InputError, match="given twice"):
        split_names(["cat", "dog|Cat"])


def test_text_features_are_made_once(tmp_path, monkeypatch):
    monkeypatch.setenv("ISEG_HOME", str(tmp_path))
    first = kept_features("clip", ["a {}"], ["cat"], lambda: torch.ones(1, 4))
    assert torch.equal(kept_features("clip", ["a {}"], ["cat"], lambda: torch.zeros(1, 4)), first)
    assert not torch.equal(kept_features("other", ["a {}"], ["cat"], lambda: torch.zeros(1, 4)), first)


def test_maps_without_refinement_have_the_shape_of_the_image(tiny, scene):
    maps = torch.rand(2, 6, 9, generator=torch.Generator().manual_seed(4))
    settings = ClipMaps(refine="none", score_threshold=0.1, background_threshold=0.1)
    found = segment.find_by_clip(tiny, tiny.set_image(scene), maps, ["cat", "dog"], settings, tiny.recipe)
    assert found.alive == [0, 1]
    assert found.result.mask.shape == (90, 140)
    assert found.result.maps.shape == (2, 9, 9)
