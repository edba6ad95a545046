"""Every recipe of configs/ovs/cliper: its constants, and a run on a fake of its data set with the embedded models."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import yaml
from fake_data import make_2017, make_ade, make_cityscapes, make_coco, make_context, make_stuff, make_voc
from PIL import Image

from iseg.data.classes import load_classes
from ovs.run import main
from ovs.settings import clip_words, load_settings
from scripts import prepare_cityscapes19, prepare_stuff171

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


@pytest.mark.filterwarnings("ignore:.*(holds|lists) 2 images")
@pytest.mark.parametrize("name", CONSTANTS)
def test_recipes_run_end_to_end(name, tmp_path):
    """The embedded models stand in for both; they know no single heads, and one sentence does for the text."""
    make_data(name, tmp_path)
    (tmp_path / "one.yaml").write_text(yaml.safe_dump(["a photo of a {}."]))
    clip = {"model": "package:models/tiny_clip", "refine": "entropy", "templates": tmp_path / "one.yaml"}
    clip |= {"shortest_side": 64}
    if name == "voc20":
        clip["refine"] = "none"  # maps of an image that is not square as they are
    arguments = ["--config", f"ovs/cliper/{name}", "--model", "tiny", "--device", "cpu", "--data.root", str(tmp_path)]
    arguments += [text for key, value in clip.items() for text in (f"--clip_maps.{key}", str(value))]
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 0
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["images"] == 2
    assert 0 <= results["miou"] <= 1
    assert (results["classes"][0]["truth_pixels"] > 0) == (name in ("voc21", "context60", "coco-object"))
    masks = sorted((tmp_path / "out" / "masks").glob("*.png"))
    assert len(masks) == 2
    for path in masks:
        alive = json.loads((tmp_path / "out" / "presence" / f"{path.stem}.json").read_text())["alive"]
        with Image.open(path) as image:
            found = [results["classes"][value]["name"] for value in np.unique(np.asarray(image)) if value]
        assert set(found) <= set(alive)


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
