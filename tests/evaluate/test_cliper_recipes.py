"""Every recipe of configs/ovs/cliper: its constants, and runs on a fake of its data set with small models."""

import json
import os
import subprocess
from copy import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from fake_data import make_2017, make_ade, make_cityscapes, make_coco, make_context, make_stuff, make_voc
from PIL import Image
from transformers import CLIPConfig, CLIPModel

from iseg import ISeg
from iseg.backbones.find import find_row
from iseg.backbones.load import load
from iseg.clip_maps import product, source
from iseg.data.classes import load_classes
from ovs.run import run
from ovs.settings import clip_words, load_settings
from scripts import prepare_cityscapes19, prepare_stuff171
from scripts.train_clip.model import make_tokenizer

ROOT = Path(__file__).parent.parent.parent


def make_data(name, root):
    """A data set of two images for a recipe, in its published layout, prepared."""
    ids = [(1, 3), (2,)]
    if name in ("voc21", "voc20"):
        make_voc(root, ids, {"val": range(2)})
    elif name in ("context60", "context59"):
        make_context(root, ids)
    elif name == "coco-object":
        make_2017(make_coco(root, "val2014", 2), [9, 18])
    elif name == "coco-stuff":
        prepare_stuff171.main(["--maps", str(make_stuff(root, [(0, 91), (2,)])), "--root", str(root)])
    elif name == "ade150":
        make_ade(root, ids)
    else:
        make_cityscapes(root, [(7, 11), (8,)])
        prepare_cityscapes19.main(["--root", str(root)])


# (templates, scale, select, threshold, score, background, crop) of ViT-L/14, "sliding", "b16", as in the contract
CONSTANTS = {
    "voc21": [("short15", 50, -2, 0.1, 0.5, 0.4, 0), (0.5, 0.4, 336), ("short15", 100, -1, 0.1, 0.7, 0.6, 336)],
    "voc20": [("short15", 70, -1, 0.2, 0.1, 1e-4, 0), (0.1, 1e-4, 336), ("short15", 100, -1, 0.1, 0, 1e-3, 0)],
    "context60": [("openai80", 50, -2, 0.2, 0.3, 0.3, 0), (0.2, 0.2, 224), ("short15", 100, -1, 0.2, 0.45, 0.45, 224)],
    "context59": [
        ("short15", 100, -2, 0.2, 0.45, 0.45, 0),
        (0.45, 0.45, 224),
        ("short15", 100, -1, 0.2, 0.3, 0.3, 224),
    ],
    "coco-object": [("openai80", 50, -2, 0.1, 0.5, 0.5, 0), (0.4, 0.4, 224), ("openai80", 50, -1, 0.2, 0.3, 0.3, 224)],
    "coco-stuff": [("openai80", 50, -2, 0.2, 0.2, 0.2, 0), (0.2, 0.2, 224), ("short15", 50, -1, 0.2, 0.1, 0.1, 0)],
    "ade150": [("openai80", 50, -1, 0.2, 0.2, 0.2, 0), (0.2, 0.2, 224), ("short15", 100, -1, 0.2, 0.3, 0.3, 0)],
    "cityscapes": [("short15", 100, -1, 0.35, 0, 1e-4, 0), (0, 1e-4, 224), ("openai80", 100, -1, 0.35, 0, 1e-4, 0)],
}


def maps(name, *more):
    return load_settings(["--config", f"ovs/cliper/{name}", *more], "test").clip_maps


def constants(clip):
    return (clip.templates, clip.scale, clip.select, clip.threshold, clip.score_threshold, clip.background_threshold,
            clip.crop)  # fmt: skip


@pytest.mark.parametrize("name", CONSTANTS)
def test_recipes_have_the_published_constants(name):
    large, sliding, base = CONSTANTS[name]
    settings = load_settings(["--config", f"ovs/cliper/{name}"], "test")
    assert settings.maps == "clip"
    assert settings.data.background == (name in ("voc21", "context60", "coco-object"))
    assert settings.clip_maps.model.endswith("large-patch14")
    assert constants(settings.clip_maps) == large
    assert constants(maps(name, "--clip_preset", "sliding"))[4:] == sliding
    small = maps(name, "--clip_preset", "b16")
    assert small.model.endswith("base-patch16")
    assert constants(small) == base
    other = maps(name, "--clip_preset", "b16-plain" if base[-1] else "b16-sliding")
    assert constants(other) == (*base[:-1], 0 if base[-1] else sliding[-1])
    sides = (448, 560) if name == "cityscapes" else (336, 336)
    assert (settings.clip_maps.shortest_side, small.shortest_side) == sides
    assert settings.clip_maps.min_max == small.min_max == (name == "voc21")
    classes = load_classes(settings.data.classes)
    assert len(clip_words(settings.clip_maps.names, classes, "names")) == len(classes)
    words = {"voc21": 25, "voc20": 25, "coco-object": 23}.get(name, 1)
    assert len(settings.clip_maps.background) == words


def make_clip(folder, patch):
    """A random CLIP of three blocks with the patch of ViT-L/14 or ViT-B/16, at their 224 pixels."""
    tokenizer = make_tokenizer(["a photo of a {}."])
    ids = {f"{kind}_token_id": getattr(tokenizer, f"{kind}_token_id") for kind in ("bos", "eos", "pad")}
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 2}
    torch.manual_seed(patch)
    config = CLIPConfig(
        text_config={**shape, **ids, "vocab_size": len(tokenizer), "projection_dim": 16},
        vision_config={**shape, "image_size": 224, "patch_size": patch, "projection_dim": 16},
        projection_dim=16,
    )
    CLIPModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def models(goldens, tiny, tmp_path_factory):
    """The small SD 2.1 shape at 128 pixels in place of 512, of which ten heads are recorded as published; small CLIPs.

    The embedded model stands in where cross-attention is joined: it is small at its own size. Here it takes any word.
    """
    folder = str(goldens / "tiny_sd21_shape")
    row = replace(find_row(folder, "sd21-base"), image_size=128)
    backbones = {folder: load(row, "cpu", "float32"), "tiny": copy(tiny.backbone)}
    backbones["tiny"].row = replace(tiny.backbone.row, words=None)
    clips = {patch: make_clip(tmp_path_factory.mktemp(f"p{patch}"), patch) for patch in (14, 16)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ISeg, "from_pretrained", lambda model, recipe, *_, **__: ISeg(backbones[model], recipe))
        yield folder, clips


WAYS: dict[str, tuple[int, list[str]]] = {  # patch of CLIP, what is given beside the recipe
    "large": (14, []),
    "large, sliding": (14, ["--clip_preset", "sliding", "--limit", "1"]),
    "base": (16, ["--clip_preset", "b16", "--limit", "1"]),
    "base, joined": (16, ["--clip_preset", "b16-plain", "--maps", "joined", "--limit", "1"]),
}


@pytest.mark.filterwarnings("ignore:.*(holds|lists) 2 images")
@pytest.mark.parametrize("name", CONSTANTS)
def test_recipes_run_end_to_end(name, models, tmp_path, monkeypatch):
    """Both CLIPs, with and without the sliding window, through the product of ten heads, and joined."""
    make_data(name, tmp_path)
    (tmp_path / "one.yaml").write_text(yaml.safe_dump(["a photo of a {}."]))
    folder, clips = models
    windows: list[str] = []
    products: list[str] = []
    monkeypatch.setattr(source.Overlay, "add", spy(windows, source.Overlay.add))
    monkeypatch.setattr(product, "apply_heads", spy(products, product.apply_heads))
    arguments = [
        "--config",
        f"ovs/cliper/{name}",
        "--device",
        "cpu",
        "--dtype",
        "float32",
        "--data.root",
        str(tmp_path),
    ]
    for way, (patch, given) in WAYS.items():
        model = ["--model", "tiny"] if "joined" in way else ["--model", folder, "--backbone", "sd21-base"]
        settings = load_settings([*arguments, *model, *preset(name, given), "--out", str(tmp_path / way)], "test")
        small = {
            "model": clips[patch],
            "templates": str(tmp_path / "one.yaml"),
            "shortest_side": 224,
            "candidate": 0.05,
        }
        settings = replace(settings, clip_maps=replace(settings.clip_maps, **small))
        windows.clear()
        products.clear()
        assert run(settings) == 0
        images = settings.limit or 2
        assert len(products) == (0 if settings.maps == "joined" else images)
        assert bool(windows) == bool(settings.clip_maps.crop)
        check_run(tmp_path / way, images, settings.data.background)


def preset(name, given):
    """What is given, with the preset's name in this recipe: what is the default of ViT-B/16 is called b16 alone."""
    known = load_settings(["--config", f"ovs/cliper/{name}"], "test").clip_presets
    return ["b16" if each.startswith("b16") and each not in known else each for each in given]


def spy(calls, function):
    def called(*arguments):
        calls.append(function.__name__)
        return function(*arguments)

    return called


def check_run(out, images, background):
    """Masks of the images, of nothing but classes that were found alive."""
    results = json.loads((out / "results.json").read_text())
    assert results["images"] == images
    assert 0 <= results["miou"] <= 1
    assert (results["classes"][0]["truth_pixels"] > 0) == background
    masks = sorted((out / "masks").glob("*.png"))
    assert len(masks) == images
    for path in masks:
        presence = json.loads((out / "presence" / f"{path.stem}.json").read_text())
        assert max(presence["scores"]) > 0
        with Image.open(path) as image:
            found = [results["classes"][value]["name"] for value in np.unique(np.asarray(image)) if value]
        assert set(found) <= set(presence["alive"])


@pytest.mark.parametrize(
    ("given", "config"),
    [
        ("voc --limit 2", "voc"),
        ("voc --limit 2 --maps clip", "cliper/voc21"),
        ("context --maps=joined", "cliper/context60"),
        ("coco --maps clip", "cliper/coco-object"),
        ("stuff", "cliper/coco-stuff"),
        ("ade --maps clip", "cliper/ade150"),
        ("city --limit 1", "cliper/cityscapes"),
        ("voc20", "cliper/voc20"),
    ],
)
def test_the_shell_entry_chooses_the_recipe(given, config, tmp_path):
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\n[ "$1" = -c ] || echo "$@"\n')
    python.chmod(0o755)
    done = subprocess.run(
        ["sh", str(ROOT / "ovs" / "shell_ovs.sh"), *given.split()],
        env={**os.environ, "PYTHON": str(python), "LAUNCH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split()[1:3] == ["--config", f"ovs/{config}"]
    assert done.stdout.split()[4].endswith("-joined") == ("joined" in given)
    assert done.stdout.split()[5:] == given.split()[1:]
