"""CLIP's maps at the edges: what is 0/0 in the published code, several names, a single class, nothing alive."""

import numpy as np
import pytest
import torch
from PIL import Image

from iseg.clip_maps import (
    ClipMaps,
    ClipSource,
    coarse,
    decision,
    edges,
    fusion,
    joined,
    load_clip_maps,
    product,
    segment,
    source,
)
from iseg.clip_maps.texts import kept_features, other_words, split_names
from iseg.errors import InputError
from iseg.results import Segmentation
from iseg.state import ImageState
from iseg.tagging import vision


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
    """For the same weights, templates and words; a damaged file is made again, nothing is left half-written."""
    monkeypatch.setenv("ISEG_HOME", str(tmp_path))
    made = []

    def make():
        made.append(torch.rand(1, 4))
        return made[-1]

    first = kept_features("clip", ["a {}"], ["cat"], make)
    assert torch.equal(kept_features("clip", ["a {}"], ["cat"], make), first)
    for key in (("other", ["a {}"], ["cat"]), ("clip", ["the {}"], ["cat"]), ("clip", ["a {}"], ["dog"])):
        kept_features(*key, make)
    assert len(made) == 4
    files = list((tmp_path / "texts").iterdir())
    assert {file.suffix for file in files} == {".safetensors"}
    assert len(files) == 4
    for file in files:
        file.write_bytes(file.read_bytes()[:20])
    assert not torch.equal(kept_features("clip", ["a {}"], ["cat"], make), first)
    assert torch.equal(kept_features("clip", ["a {}"], ["cat"], make), made[-1])
    assert len(made) == 5


def test_a_source_keeps_its_text_features(tmp_path, monkeypatch):
    """Of the small CLIP: a second source asks the model no more; one of other weights does."""
    monkeypatch.setenv("ISEG_HOME", str(tmp_path))
    asked = []

    def features(model, tokenizer, words, templates):
        asked.append(list(words))
        return torch.rand(len(words), 64)

    monkeypatch.setattr(source, "text_features", features)
    first = ClipSource.from_pretrained("ovs/demo", device="cpu")
    matrix = first.texts(["cat", "dog|sofa"]).matrix
    second = ClipSource.from_pretrained("ovs/demo", device="cpu")
    assert torch.equal(second.texts(["cat", "dog|sofa"]).matrix, matrix)
    assert asked == [["cat", "dog", "sofa", *first.settings.background]]
    ClipSource(second.model, second.tokenizer, second.settings, "other weights").texts(["cat", "dog|sofa"])
    assert len(asked) == 2


def test_windows_of_patches_apart_are_averaged(scene):
    """Of a picture that is not square: what one window after another says, added up place by place."""
    settings = load_clip_maps("ovs/demo", shortest_side=96, further_sides=[], mirror=False, crop=64, stride=48)
    made = ClipSource.from_pretrained(settings, device="cpu")
    texts, pixels = made.texts(["cat", "sofa|couch"]), made.pixels(Image.fromarray(scene), 96)
    rows, columns = pixels.shape[1] // 16, pixels.shape[2] // 16
    assert (rows, columns) == (6, 9)
    total, count = torch.zeros(2, rows, columns), torch.zeros(rows, columns)
    for top, left in ((0, 0), (0, 3), (0, 5), (2, 0), (2, 3), (2, 5)):
        part = pixels[:, 16 * top : 16 * top + 64, 16 * left : 16 * left + 64]
        tokens, _ = vision.encode(made.model, part, lambda _number, _attention: None, round_positions=True)
        logits = 13.43 * torch.nn.functional.normalize(tokens[1:], dim=-1) @ texts.matrix.T
        shares = logits.softmax(-1)
        found = torch.stack([shares[:, 0], shares[:, 1] + shares[:, 2]]).unflatten(1, (4, 4))
        total[:, top : top + 4, left : left + 4] += found
        count[top : top + 4, left : left + 4] += 1
    torch.testing.assert_close(made.maps(scene, ["cat", "sofa|couch"]), total / count, atol=1e-5, rtol=0)


def test_maps_follow_the_picture_where_asked_to(tiny, scene):
    """The disc of a scene, from a map that only knows its middle: bilateral edges are nearer to the truth."""
    rows, columns = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
    blob = (-((rows * 90 / 16 - 40) ** 2 + (columns * 140 / 16 - 60) ** 2) / (2 * 20**2)).exp()[None]
    truth = torch.from_numpy(scene[..., 0] == 200)
    shares = {}
    for upsample in ("bilinear", "bilateral", "joint_bilateral"):
        settings = ClipMaps(refine="none", score_threshold=0.1, background_threshold=0.5, upsample=upsample)
        found = segment.find_by_clip(tiny, tiny.set_image(scene), blob, ["cat"], settings, tiny.recipe)
        mask = torch.from_numpy(found.result.mask) == 1
        shares[upsample] = ((mask & truth).sum() / (mask | truth).sum()).item()
        assert settings.way_up(tiny.recipe) == upsample
    assert min(shares["bilateral"], shares["joint_bilateral"]) > shares["bilinear"]
    guide = edges.guide_of(tiny.set_image(scene), tiny.recipe)
    rows_and_columns, window = (
        edges.along_edges(blob, guide, ClipMaps(upsample=way), tiny.recipe) for way in ("bilateral", "joint_bilateral")
    )
    assert rows_and_columns.shape == window.shape == (1, 90, 140)
    assert not torch.equal(rows_and_columns, window)
    assert ClipMaps(upsample="joint_bilateral").recipe(tiny.recipe).upsample == "bilinear"  # which knows no window
    assert ClipMaps().recipe(tiny.recipe) is tiny.recipe


def test_maps_without_refinement_have_the_shape_of_the_image(tiny, scene):
    maps = torch.rand(2, 6, 9, generator=torch.Generator().manual_seed(4))
    settings = ClipMaps(refine="none", score_threshold=0.1, background_threshold=0.1)
    found = segment.find_by_clip(tiny, tiny.set_image(scene), maps, ["cat", "dog"], settings, tiny.recipe)
    assert found.alive == [0, 1]
    assert found.result.mask.shape == (90, 140)
    assert found.result.maps.shape == (2, 9, 9)


def test_evidence_decides_between_classes_and_leaves_the_background():
    """Scores decided again pixel by pixel: a class of twice the evidence wins where it reaches half the other's."""
    maps = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(5)).numpy()
    mask = np.random.default_rng(6).integers(0, 2, (20, 30), np.uint8) * 7
    result = Segmentation(mask, ["a", "b", "c"], maps, maps)
    weights = np.array([0.4, 0.8, 0.5], np.float32)
    labels = joined.weighed(result, weights, [7, 3, 9])
    expected = np.array([7, 3, 9])[np.argmax(result.scores * weights[:, None, None], 0)]
    assert np.array_equal(labels, np.where(mask > 0, expected, 0))
    assert set(np.unique(labels)) == {0, 3, 7, 9}


def test_several_looks_are_averaged_and_leave_the_model_as_it_is(tiny, scene):
    """One look is the plain run; with the mirror image a mirrored picture has mirrored maps, whatever the sizes."""
    wide = np.concatenate([scene, scene[:, ::-1]], 1)  # its own mirror image
    maps = torch.rand(2, 9, 5, generator=torch.Generator().manual_seed(7))
    maps = torch.cat([maps, maps.flip(2)], 2)
    settings = ClipMaps(candidate=0.0, agreement_threshold=0.0, iterations=1, upsample="bilinear")
    recipe, row = tiny.recipe.changed(upsample="bilinear"), tiny.backbone.row

    def look(views):
        chosen = settings.changed("test", views=views)
        return joined.find_joined(tiny, ImageState(wide), maps, ["cat", "dog"], chosen, recipe).result

    plain, own, both = look(None), look(str(row.image_size)), look("288,256,flip")
    assert np.array_equal(plain.maps, own.maps)
    assert np.array_equal(plain.mask, own.mask)
    assert both.mask.shape == plain.mask.shape
    assert both.maps.shape == (2, 36, 36)
    np.testing.assert_allclose(both.maps, both.maps[..., ::-1], rtol=1e-3, atol=1e-6)
    assert np.abs(plain.maps - plain.maps[..., ::-1]).max() > 1e-3 * plain.maps.max()  # the noise is no mirror image
    assert tiny.backbone.row is row
    with pytest.raises(InputError, match="size 100: tiny takes multiples"):
        look("100")


def test_a_preset_leaves_optional_settings_as_they_are():
    """`upsample` is a choice or None, which a preset of another setting must not take for a missing value."""
    assert ClipMaps().changed("test", crop=336).upsample is None
    assert ClipMaps().changed("test", upsample="bilateral").upsample == "bilateral"
    with pytest.raises(InputError, match="crop is null"):
        ClipMaps().changed("test", crop=None)
