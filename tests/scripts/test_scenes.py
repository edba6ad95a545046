"""Scenes of pictograms: deterministic, truthful, any size; the data set that is made of them."""

import re
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from iseg.errors import InputError
from scripts.train_tiny import make_set
from scripts.train_tiny import sprites as stock
from scripts.train_tiny.backgrounds import COLOURS, background
from scripts.train_tiny.captions import caption, prompt
from scripts.train_tiny.scenes import render, scene_rng
from scripts.train_tiny.sprites import PICTOGRAM_FOLDER, STYLES, load_sprites, read_words, restyle

IDS = {word.name: word.id for word in read_words()}


def picture(path):
    """An image read whole, its file closed."""
    with path.open("rb") as file:
        opened = Image.open(file)
        opened.load()
    return opened


def test_the_words_are_vocs_in_order():
    assert [word.id for word in read_words()] == list(range(1, 21))
    assert [word.name for word in read_words()][:3] == ["plane", "bicycle", "bird"]


@pytest.mark.parametrize("style", STYLES)
def test_every_style_draws_almost_every_word(style):
    missing = set(IDS) - set(load_sprites(style))
    # the first Noto design predates these two emoji
    assert missing == ({"potted plant"} if style == "noto-v1" else set())
    for sprites in load_sprites(style).values():
        for sprite in sprites:
            assert sprite.shape[2] == 5
            assert (sprite[..., 4] >= sprite[..., 3]).mean() > 0.99  # the truth closes gaps and loses nothing


def test_shipped_pictograms_come_with_their_licences_and_stay_small():
    text = (PICTOGRAM_FOLDER / "ATTRIBUTION.md").read_text(encoding="utf-8")
    for style in STYLES:
        assert f"`{style}`" in text
    assert "MIT License" in (PICTOGRAM_FOLDER / "LICENSE-fluent.txt").read_text(encoding="utf-8")
    assert "Apache License" in (PICTOGRAM_FOLDER / "LICENSE-noto.txt").read_text(encoding="utf-8")
    files = list(PICTOGRAM_FOLDER.rglob("*.webp"))
    assert sum(path.stat().st_size for path in files) < 1.5e6
    assert all(max(picture(path).size) <= 128 for path in files)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.integers(48, 200), st.integers(48, 200), st.booleans())
def test_a_scene_is_decided_by_its_number_and_holds_what_it_says(index, height, width, augment):
    scene = render(scene_rng(9, index), (height, width), augment=augment)
    again = render(scene_rng(9, index), (height, width), augment=augment)
    assert np.array_equal(scene.image, again.image)
    assert np.array_equal(scene.mask, again.mask)
    assert scene.image.shape == (height, width, 3)
    assert scene.image.dtype == scene.mask.dtype == np.uint8
    assert 1 <= len(scene.words) <= 4
    assert [IDS[word] for word in scene.words] == sorted(set(np.unique(scene.mask)) - {0})
    assert set(scene.grounds) <= set(COLOURS)


def test_different_numbers_and_seeds_give_different_scenes():
    images = [render(scene_rng(seed, index), (64, 96)).image for seed, index in ((1, 0), (1, 1), (2, 0), (2, 1))]
    assert all(not np.array_equal(a, b) for i, a in enumerate(images) for b in images[:i])


def test_the_truth_lies_on_the_object():
    """On a scene and its background alone, pixels differ where the truth is and (nearly) nowhere else."""
    for index in range(6):
        scene = render(scene_rng(11, index), (160, 224), max_objects=1)
        ground, _, _ = background(scene_rng(11, index), 160, 224)
        # `finish` changes light by one linear map: fit it where the truth says background
        empty = scene.mask == 0
        x, y = ground[empty].ravel(), scene.image[empty].astype(float).ravel()
        inside = (x > 5) & (x < 250) & (y > 5) & (y < 250)
        slope, offset = np.polyfit(x[inside], y[inside], 1)
        error = np.abs(np.clip(slope * ground + offset, 0, 255) - scene.image).mean(2)
        assert error[empty].mean() < 12
        assert error[~empty].mean() > 1.5 * error[empty].mean()


def test_restyling_keeps_the_silhouette_or_grows_it():
    rng = np.random.default_rng(0)
    sprite = load_sprites("noto")["cat"][0]
    for _ in range(20):
        changed = restyle(sprite, rng)
        margin = (changed.shape[0] - sprite.shape[0]) // 2
        core = changed[margin : margin + sprite.shape[0], margin : margin + sprite.shape[1]]
        assert (core[..., 4] >= sprite[..., 4]).all()


def test_caption_spans_point_at_the_words():
    rng = np.random.default_rng(3)
    empty = 0
    for index in range(80):
        scene = render(scene_rng(12, index), (48, 64))
        text, spans = caption(rng, scene)
        empty += text == " "
        for label, (start, end) in spans.items():
            word = read_words()[label - 1]
            names = {word.name, *word.also}
            assert any(name.endswith(text[start:end]) for name in names)
        if text != " ":
            assert set(spans) == {IDS[name] for name in scene.words}
            assert "and other object and background" in text
    assert 0 < empty < 20


def test_prompt_wording():
    assert prompt(["cat", "dog"], context=None) == "a photograph of cat and dog and other object and background"
    assert prompt(["cat"], "photography", "sky") == "a photography of cat and other object and background, sky"


def test_a_set_has_vocs_layout_and_palette(tmp_path, capsys):
    assert make_set.main(["--out", str(tmp_path), "--count", "5", "--seed", "4", "--size", "90x60"]) == 0
    root = tmp_path / "VOCdevkit" / "VOC2012"
    train, val = (
        (root / "ImageSets" / "Segmentation" / f"{split}.txt").read_text().split() for split in ("train", "val")
    )
    assert (len(train), len(val)) == (2, 3)
    for name in train + val:
        image, mask = (
            picture(root / "JPEGImages" / f"{name}.jpg"),
            picture(root / "SegmentationClassAug" / f"{name}.png"),
        )
        assert image.size == mask.size == (90, 60)
        assert mask.mode == "P"
        assert set(np.unique(np.array(mask))) <= set(range(21))
        # VOC: 1 = dark red, 2 = dark green, 15 = rose, 255 = cream
        palette = np.array(mask.getpalette()).reshape(-1, 3)
        assert palette[[0, 1, 2, 15, 255]].tolist() == [
            [0, 0, 0],
            [128, 0, 0],
            [0, 128, 0],
            [192, 128, 128],
            [224, 224, 192],
        ]
    again = tmp_path / "again"
    make_set.make_set(again, 5, 4, (60, 90))
    file = f"VOCdevkit/VOC2012/JPEGImages/{train[0]}.jpg"
    assert (again / file).read_bytes() == (tmp_path / file).read_bytes()


def contents(folder):
    """{path: (time of writing, bytes)} of a set."""
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*") if path.is_file()}


def test_a_set_is_kept_until_it_would_come_out_differently(tmp_path):
    names = make_set.make_set(tmp_path, 3, 4, (60, 90))
    before = contents(tmp_path)
    assert make_set.make_set(tmp_path, 3, 4, (60, 90)) == names
    assert contents(tmp_path) == before
    with pytest.raises(InputError, match="unknown style"):
        make_set.make_set(tmp_path, 3, 4, (60, 90), "nosuch")
    assert contents(tmp_path) == before
    lost = next(path for path in before if path.suffix == ".jpg")
    lost.unlink()
    make_set.make_set(tmp_path, 3, 4, (60, 90))
    assert lost.read_bytes() == before[lost][1]
    others = make_set.make_set(tmp_path, 4, 5, (60, 90))
    assert not set(others) & set(names)
    pictures = {path.stem for path in tmp_path.rglob("scene_*")}
    assert pictures == set(others)  # nothing of the first set is left


def test_a_set_left_half_made_is_made_again(tmp_path, monkeypatch):
    make_set.make_set(tmp_path, 3, 4, (60, 90))
    whole = {path: content for path, (_, content) in contents(tmp_path).items()}
    (tmp_path / make_set.STAMP).write_text("another renderer")
    with monkeypatch.context() as patch:
        patch.setattr(make_set, "save_mask", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            make_set.make_set(tmp_path, 3, 4, (60, 90))
    assert not (tmp_path / make_set.STAMP).exists()
    make_set.make_set(tmp_path, 3, 4, (60, 90))
    assert {path: content for path, (_, content) in contents(tmp_path).items()} == whole


def test_the_fingerprint_covers_the_renderer_and_its_pictograms(tmp_path, monkeypatch):
    pictograms = tmp_path / "pictograms"
    shutil.copytree(stock.PICTOGRAM_FOLDER, pictograms)
    for name in make_set.RENDERER:
        shutil.copy(stock.HERE / name, tmp_path / name)
    plain = make_set.fingerprint(4, None, "seen")
    assert len({plain, *(make_set.fingerprint(*one) for one in ((5, None, "seen"), (4, (60, 90), "seen")))}) == 3
    monkeypatch.setattr(stock, "HERE", tmp_path)
    monkeypatch.setattr(stock, "PICTOGRAM_FOLDER", pictograms)
    assert make_set.fingerprint(4, None, "seen") == plain  # wherever the files lie
    found = {plain}
    for path in [*(tmp_path / name for name in make_set.RENDERER), next(pictograms.rglob("*.webp"))]:
        path.write_bytes(path.read_bytes() + b" ")
        found.add(make_set.fingerprint(4, None, "seen"))
    next(pictograms.rglob("*.webp")).unlink()
    found.add(make_set.fingerprint(4, None, "seen"))
    assert len(found) == len(make_set.RENDERER) + 3


def test_the_renderer_is_all_that_drawing_imports():
    wanted, seen = ["make_set"], set()
    while wanted:
        seen.add(name := wanted.pop())
        text = (stock.HERE / f"{name}.py").read_text()
        used = re.findall(r"^from scripts\.train_tiny\.(\w+) import", text, re.MULTILINE)
        for names in re.findall(r"^from scripts\.train_tiny import (.+)$", text, re.MULTILINE):
            used += names.split(", ")
        wanted += set(used) - seen
    assert {f"{name}.py" for name in seen} | {"words.yaml"} == set(make_set.RENDERER)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--size", "90"], "WIDTHxHEIGHT"),
        (["--size", "9x9"], "at least"),
        (["--style", "nosuch"], "unknown style"),
        (["--count", "1"], "at least 2"),
    ],
)
def test_bad_requests_are_one_line(tmp_path, capsys, arguments, word):
    defaults = {"--out": str(tmp_path), "--count": "2", "--seed": "0", arguments[0]: arguments[1]}
    assert make_set.main([part for pair in defaults.items() for part in pair]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert word in captured.err
    assert captured.err.count("\n") == 1


def test_an_unfetched_style_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setattr("scripts.train_tiny.sprites.OPENMOJI_FOLDER", tmp_path / "none")
    load_sprites.cache_clear()
    with pytest.raises(InputError, match=r"fetch --openmoji"):
        load_sprites("openmoji")
    load_sprites.cache_clear()
