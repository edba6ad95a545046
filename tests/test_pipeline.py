"""ISeg with the embedded model: shapes, caches, batches, seeds, bad calls."""

import threading

import numpy as np
import pytest
import torch
from PIL import Image

from iseg import ClassWord, ISeg, masks, refine
from iseg.errors import InputError
from iseg.results import KEPT_MATRICES


@pytest.fixture
def seg(tiny, scene):
    """The embedded model with the scene set; the shared components are not changed by it."""
    own = ISeg(tiny.backbone, tiny.recipe)
    own.set_image(scene)
    return own


@pytest.fixture
def passes(seg, monkeypatch):
    """Counts the UNet passes."""
    made = []
    real = seg.backbone.unet.forward

    def counted(*args, **kwargs):
        made.append(1)
        return real(*args, **kwargs)

    monkeypatch.setattr(seg.backbone.unet, "forward", counted)
    return made


def test_classes(seg):
    out = seg.segment(classes=["cat", "dog"], trajectory=True)
    assert out.mask.shape == (90, 140)
    assert out.mask.dtype == np.uint8
    assert set(np.unique(out.mask)) <= {0, 1, 2}
    assert out.scores.shape == (2, 90, 140)
    assert out.scores.dtype == np.float32
    assert 0 <= out.scores.min() <= out.scores.max() <= 1
    grid = out.maps.shape[-1]
    assert out.trajectory.shape == (seg.recipe.iterations + 1, 2, grid, grid)
    assert np.array_equal(out.trajectory[0], out.seeds)
    assert np.array_equal(out.trajectory[-1], out.maps)
    assert out.names == ["cat", "dog"]


def test_the_trajectory_holds_what_fewer_iterations_give(seg):
    long = seg.segment(classes=["cat"], iterations=4, trajectory=True)
    for iterations in (0, 2):
        short = seg.segment(classes=["cat"], iterations=iterations)
        assert np.array_equal(short.maps, long.trajectory[iterations])
        assert short.trajectory is None


def test_settings_of_the_call_do_not_stay(seg):
    before = seg.segment(classes=["cat"])
    seg.segment(classes=["cat"], iterations=1, entropy=0.0, background=0.2, enhancement=1.0)
    assert np.array_equal(before.scores, seg.segment(classes=["cat"]).scores)


def test_one_pass_per_prompt_and_none_for_settings(seg, passes):
    seg.segment(classes=["cat"])
    seg.segment(classes=["cat"], iterations=1, entropy=0.3, background=0.2)
    assert len(passes) == len(seg.recipe.looks)
    seg.segment(points=[(60, 40)])
    seg.segment(box=(30, 20, 90, 70))
    seg.segment(line=[(40, 40), (80, 45)], entropy=0.01)
    assert len(passes) == 2 * len(seg.recipe.looks)
    seg.segment(classes=["cat"], enhancement=1.0)
    assert len(passes) == 3 * len(seg.recipe.looks)


def test_a_click_never_depends_on_what_was_typed_before(seg, tiny, scene):
    alone = seg.segment(points=[(60, 40)]).scores
    other = ISeg(tiny.backbone, tiny.recipe)
    other.set_image(scene)
    other.segment(classes=["bus", "cat"])
    assert np.array_equal(other.segment(points=[(60, 40)]).scores, alone)


def test_a_new_image_empties_the_caches(seg, scene):
    first = seg.segment(classes=["cat"])
    seg.set_image(scene[:, ::-1])
    flipped = seg.segment(classes=["cat"])
    assert not np.array_equal(first.scores, flipped.scores)
    seg.set_image(scene)
    assert np.array_equal(seg.segment(classes=["cat"]).scores, first.scores)


@pytest.mark.parametrize(
    "prompt",
    [
        {"points": [(60, 40)]},
        {"points": [(60, 40), (70, 50)], "negative": [(5, 5)]},
        {"line": [(45, 40), (75, 42)]},
        {"box": (35, 15, 85, 65)},
    ],
)
@pytest.mark.parametrize("shape", [(90, 140), (33, 200), (64, 64)])
def test_seeds_on_any_shape(seg, prompt, shape):
    rows = np.linspace(0, 89, shape[0]).astype(int)
    columns = np.linspace(0, 139, shape[1]).astype(int)
    seg.set_image(seg.image.pixels[rows][:, columns])
    scale = (shape[1] / 140, shape[0] / 90)
    scaled = {
        key: tuple(v * scale[i % 2] for i, v in enumerate(value)) if key == "box"
        else [(x * scale[0], y * scale[1]) for x, y in value]
        for key, value in prompt.items()
    }  # fmt: skip
    out = seg.segment(**scaled, background=0.5)
    assert out.mask.shape == shape
    assert out.scores.shape == (1, *shape)
    assert set(np.unique(out.mask)) <= {0, 1}
    assert np.isfinite(out.scores).all()
    assert np.isfinite(out.maps).all()


def test_rough_mask_of_a_box_is_the_box(seg):
    grid = seg.segment(points=[(60, 40)]).maps.shape[-1]
    seg.set_image(np.zeros((grid * 2, grid * 3, 3), np.uint8) + 90)
    mask = np.zeros((grid * 2, grid * 3), bool)
    mask[8:20, 12:30] = True
    spread = {
        "box_decision": "refine",
        "mark_threshold": "fixed",
        "outline": "map",
    }  # as published; the embedded model's own differ
    drawn, boxed = seg.segment(mask=mask, **spread), seg.segment(box=(12, 8, 30, 20), **spread)
    assert np.array_equal(drawn.scores, boxed.scores)


def test_subtracted_negative_points_only_take_away(seg):
    plain = seg.segment(points=[(60, 40)], iterations=2, trajectory=True)
    settings = {"iterations": 2, "trajectory": True, "negative_points": "subtract"}
    less = seg.segment(points=[(60, 40)], negative=[(10, 80)], **settings)
    assert (less.trajectory <= plain.trajectory + 1e-6).all()
    assert less.trajectory.min() >= 0


@pytest.mark.parametrize("words", [["cat"], ["dog", "bus"]])
def test_a_batch_is_its_images_one_by_one(seg, scene, words):
    images = [scene, np.ascontiguousarray(scene[10:80, ::-1]), scene[::-1].copy()]
    classes = [words, ["person"], ["sheep", "cow", "bird"]]
    together = seg.segment_batch(images, classes)
    for image, each, out in zip(images, classes, together, strict=True):
        alone = seg.segment_batch([image], [each])[0]
        assert out.mask.shape == image.shape[:2]
        assert np.abs(out.scores - alone.scores).max() < 1e-4
        seg.set_image(image)
        assert np.array_equal(seg.segment(classes=each).scores, alone.scores)


def test_solving_again_needs_no_pass(seg, scene, passes):
    attended = seg.attend([scene], [["cat", "dog"]])[0]
    assert len(passes) == len(seg.recipe.looks)
    for iterations in (0, 3):
        out = seg.solve(attended, seg.recipe.changed(iterations=iterations))
        assert np.array_equal(out.scores, seg.segment(classes=["cat", "dog"], iterations=iterations).scores)


def test_the_oldest_matrix_gives_its_memory_to_the_new_one(seg, scene):
    attended = seg.attend([scene], [["cat"]])[0]
    recipes = [seg.recipe.changed(entropy=entropy) for entropy in (0.1, 0.2, 0.3, 0.4, 0.5)]
    assert len(recipes) > KEPT_MATRICES
    first = attended.reduced(recipes[0])
    later = [attended.reduced(recipe) for recipe in recipes[1:]]
    assert first is later[KEPT_MATRICES - 1]
    assert attended.nbytes == attended.attention.nbytes * (1 + KEPT_MATRICES) + attended.token_maps.nbytes
    fresh = seg.attend([scene], [["cat"]])[0]
    for recipe in recipes:
        assert torch.equal(attended.reduced(recipe), fresh.reduced(recipe))


@pytest.mark.parametrize("every", [True, False])
def test_sparse_matrices_give_what_dense_ones_give(seg, scene, monkeypatch, every):
    points, weights = [(60, 40)], (0.001, 3.0, 0.002, 5.0, 0.003, 8.0)  # few and many zeros in turn
    attended = seg.attend_latents(seg.encode([scene], seg.recipe), [[]], [scene.shape[:2]], seg.recipe)[0]
    low, high = (float((attended.reduced(seg.recipe.changed(entropy=w)) != 0).float().mean()) for w in (3.0, 0.003))
    assert low < high
    below = 1.0 if every else (low + high) / 2
    dense = [seg.segment(points=points, entropy=weight, trajectory=True) for weight in weights]
    monkeypatch.setattr("iseg.refine.SPARSE_BELOW", below)
    seg.set_image(scene)
    for weight, expected in zip(weights, dense, strict=True):
        out = seg.segment(points=points, entropy=weight, trajectory=True)
        np.testing.assert_allclose(out.trajectory, expected.trajectory, rtol=1e-3, atol=1e-6)
        assert np.mean(out.mask != expected.mask) < 1e-3
    attended = seg.attend_image(seg.image, seg.recipe)
    layouts = {matrix.layout for matrix in attended._reduced.values()}
    assert torch.sparse_csr in layouts
    assert len(layouts) == (1 if every else 2)
    assert attended.nbytes <= attended.attention.nbytes * (2 + 3 * KEPT_MATRICES)  # an entry takes 12 bytes, not 4


def test_the_mask_is_the_decision_on_the_scores(seg):
    for background in ("power", 0.4):
        out = seg.segment(classes=["cat", "dog"], background=background)
        rescale = seg.recipe.working_size is not None
        labels = masks.label_map(torch.from_numpy(out.scores), [1, 2], background, rescale)
        assert np.array_equal(labels, out.mask)


def test_focus_words(seg):
    whole = seg.segment(classes=["potted plant"])
    focus = seg.segment(classes=[ClassWord("potted plant", "plant")])
    assert focus.names == ["potted plant"]
    assert not np.array_equal(whole.scores, focus.scores)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({}, "nothing was given: expected exactly one of"),
        ({"classes": ["cat"], "box": (0, 0, 5, 5)}, "classes and box was given"),
        ({"classes": []}, "no class was given"),
        ({"classes": "cat"}, "expected a list of words"),
        ({"classes": ["  "]}, "class 1 is empty|does not know"),
        ({"classes": ["unicorn"]}, "does not know 'unicorn': it knows plane"),
        ({"points": []}, "nothing was marked"),
        ({"points": [(140, 10)]}, "outside the image"),
        ({"box": (0, 0, 141, 5)}, "outside the image"),
        ({"negative": [(3, 3)], "box": (0, 0, 5, 5)}, "negative points were given without points"),
        ({"mask": np.ones((3, 3))}, r"seed mask has shape \(3, 3\)"),
        ({"mask": np.array([["a"] * 140] * 90)}, "seed mask has shape .* type <U1"),
        ({"mask": np.full((90, 140), np.nan)}, "expected numbers"),
        ({"classes": [None]}, "class 1 is None: expected a word"),
        ({"classes": 5}, "classes is 5: expected a list of words"),
        ({"classes": [ClassWord("cat", 3)]}, "class 1 is 'cat'"),  # type: ignore[arg-type]  # is the point
        ({"points": [(np.nan, 3)]}, r"points holds \(nan, 3\): expected pixels"),
        ({"points": [(3, np.inf)]}, "points holds"),
        ({"points": 5}, "points is 5: expected pixels"),
        ({"points": [1, 2]}, "points holds 1: expected pixels"),
        ({"points": [(1, 2, 3)]}, r"points holds \(1, 2, 3\)"),
        ({"points": [("a", "b")]}, "points holds"),
        ({"points": [(3, 3)], "negative": [(10**400, 1)]}, r"negative holds \(1000"),
        ({"line": [(3, 3), (1e9, 3)]}, "outside the image"),
        ({"line": "3,3"}, "line is '3,3'"),
        ({"box": (0, 0, 5)}, r"box holds \(0, 0, 5\): expected corners"),
        ({"box": "abcd"}, "box holds 'abcd'"),
        ({"boxes": [(0, 0, 5, 5), None]}, "boxes holds None"),
        ({"boxes": []}, "no box was given"),
        ({"boxes": [(0, 0, 5, 5)], "names": ["a", "b"]}, "2 names were given for 1 boxes"),
        ({"classes": ["cat"], "names": ["a"]}, "names were given without boxes or maps"),
        ({"maps": np.ones((4, 4))}, r"maps are torch.float64 of shape \(4, 4\): expected \(K, h, w\)"),
        ({"maps": -np.ones((1, 4, 4))}, "expected finite values of at least 0"),
        ({"maps": np.full((1, 4, 4), np.inf)}, "expected finite values"),
        ({"maps": "abc"}, "maps are 'abc': expected an array"),
        ({"classes": ["cat"], "iterations": -1}, "iterations is -1"),
        ({"classes": ["cat"], "context": "{classes}"}, "context is '{classes}'"),
        ({"classes": ["cat"], "cross_weights": {12: 1e308, 24: 1e308}}, r"up to 1e\+06"),
        ({"classes": ["cat"], "self_heads": [99]}, "self_heads names head 99"),
        ({"classes": ["cat"], "colour": 1}, "unknown key 'colour'"),
    ],
)
def test_bad_calls(seg, call, message):
    with pytest.raises(InputError, match=message):
        seg.segment(**call)


def test_an_image_is_needed_first(tiny):
    with pytest.raises(InputError, match="call set_image"):
        ISeg(tiny.backbone, tiny.recipe).segment(classes=["cat"])


def test_a_recipe_that_does_not_fit_is_found_before_loading(monkeypatch):
    monkeypatch.setattr("iseg.pipeline.load", lambda *args: pytest.fail("weights were loaded"))
    with pytest.raises(InputError, match=r"cross_weights names resolution 16: backbone tiny has \[12, 24\]"):
        ISeg.from_pretrained("tiny", recipe="wsss/voc")


def test_another_size_is_another_look_of_the_same_model(seg, scene):
    smaller = ISeg.from_pretrained("tiny", size=320, dtype="float32", device="cpu")
    smaller.set_image(scene)
    out = smaller.segment(classes=["cat", "dog"])
    assert out.maps.shape == (2, 40, 40)
    assert out.mask.shape == (90, 140)
    exact = ISeg.from_pretrained("tiny", dtype="float32", device="cpu")
    own = exact.backbone.row.recipe_at(exact.recipe, 320)
    looked = exact.at(320)
    state = exact.set_image(scene)
    (attended,) = looked.attend([state.pixels], [["cat", "dog"]], cross_weights=own.cross_weights)
    np.testing.assert_allclose(exact.solve(attended, own).maps, out.maps, atol=1e-7)
    with pytest.raises(InputError, match="size 250: tiny takes multiples of 32 from 192 to 768"):
        ISeg.from_pretrained("tiny", size=250)


def test_maps_from_outside_are_refined_and_decided_like_any(seg):
    out = seg.segment(classes=["cat", "dog"], iterations=3)
    again = seg.segment(maps=out.seeds, names=["cat", "dog"], iterations=3)
    # seeds do not see the words: the self-attention is that of the empty prompt
    alone = seg.attend_image(seg.image, seg.recipe)
    expected = refine.refine(alone.reduced(seg.recipe), torch.from_numpy(out.seeds).flatten(1).T, 3)
    grid = out.maps.shape[-1]
    np.testing.assert_allclose(again.maps, expected.T.reshape(2, grid, grid), atol=1e-7)
    assert again.names == ["cat", "dog"]
    assert again.mask.shape == (90, 140)


def test_maps_of_another_resolution_cover_the_whole_image(seg):
    grid = seg.segment(classes=["cat"]).maps.shape[-1]
    left = np.zeros((1, 3, 200))
    left[:, :, :100] = 1
    out = seg.segment(maps=left, iterations=0)
    assert out.names == ["map 1"]
    assert out.seeds.shape == (1, grid, grid)
    assert out.seeds[0, :, : grid // 2 - 1].min() > out.seeds[0, :, grid // 2 + 1 :].max()


def test_many_boxes_are_single_boxes_with_one_product(seg):
    boxes = [(10, 10, 60, 60), (70, 20, 130, 80), (0, 0, 20, 20)]
    out = seg.segment(boxes=boxes, names=["a", "b", "c"])
    assert out.names == ["a", "b", "c"]
    assert set(np.unique(out.mask)) <= {0, 1, 2, 3}
    for k, box in enumerate(boxes):
        single = seg.segment(box=box)
        unit = [maps / maps.max() for maps in (out.maps[k], single.maps[0])]
        np.testing.assert_allclose(unit[0], unit[1], atol=1e-4)
    assert seg.segment(boxes=boxes).names == ["box 1", "box 2", "box 3"]


def test_several_images_are_alive_at_once(seg, scene, passes):
    first, other = seg.image, scene[:60, ::-1]
    alone = seg.segment(classes=["cat"])
    second = seg.set_image(other)
    assert seg.segment(classes=["cat"]).mask.shape == (60, 140)
    assert np.array_equal(seg.segment(classes=["cat"], image=first).mask, alone.mask)
    assert len(passes) == 2 * len(seg.recipe.looks)
    assert second.nbytes > second.pixels.nbytes


def test_a_batch_takes_images_as_set_image_does(seg, scene):
    expected = seg.segment(classes=["cat"])
    floats, grey = scene.astype(np.float32) / 255, Image.fromarray(scene)
    for image in (floats, grey, scene):
        assert np.array_equal(seg.segment_batch([image], [["cat"]])[0].mask, expected.mask)
    with pytest.raises(InputError, match="2 images and 1 lists of classes"):
        seg.segment_batch([scene, scene], [["cat"]])
    with pytest.raises(InputError, match="float image holds"):
        seg.segment_batch([scene.astype(np.float32)], [["cat"]])


def test_threads_share_a_model(tiny, scene):
    seg, wrong = ISeg(tiny.backbone, tiny.recipe), []
    images = [np.roll(scene, 17 * k, axis=1) for k in range(4)]
    expected = []
    for image in images:
        seg.set_image(image)
        expected.append((seg.segment(classes=["cat"]).mask, seg.segment(points=[(60, 40)]).mask))

    def work(k: int) -> None:
        for _ in range(3):
            seg.set_image(images[k])
            masks_made = (seg.segment(classes=["cat"]).mask, seg.segment(points=[(60, 40)]).mask)
            if not all(map(np.array_equal, masks_made, expected[k])):
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_an_image_set_by_another_thread_is_used_while_it_is_the_only_one(tiny, scene):
    seg = ISeg(tiny.backbone, tiny.recipe)
    keep = threading.Event()

    def setter() -> None:
        seg.set_image(scene)
        ready.set()
        keep.wait(60)

    threads = []
    for _ in range(2):
        ready = threading.Event()
        threads.append(threading.Thread(target=setter))
        threads[-1].start()
        ready.wait(60)
        if len(threads) == 1:
            assert seg.segment(points=[(60, 40)]).mask.shape == (90, 140)
    with pytest.raises(InputError, match="several threads have set images"):
        seg.segment(points=[(60, 40)])
    keep.set()
    for thread in threads:
        thread.join()
