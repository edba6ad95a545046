"""Model folders: copies of the embedded model with something wrong."""

import json
import shutil
from pathlib import Path
from random import Random
from typing import Any

import torch
from safetensors.torch import load_file, save_file

import iseg
from scripts.fuzz.case import Case, segment
from scripts.fuzz.images import good_image

TINY = Path(iseg.__file__).parent / "models" / "tiny"
PARTS = ("unet", "vae", "text_encoder")
NUMBERS = (float("nan"), float("inf"), -float("inf"), 1e30)


def _weights(folder: Path, part: str) -> Path:
    return next((folder / part).glob("*.safetensors"))


def _tensors(rng: Random, file: Path) -> str:
    """Change what a file of weights holds."""
    way = rng.randrange(6)
    state: dict[str, Any] = dict(load_file(file))
    names = sorted(state)
    if way == 0:
        file.write_bytes(file.read_bytes()[: rng.randrange(file.stat().st_size)])
        return "truncated"
    if way == 1:
        file.write_bytes(rng.randbytes(rng.choice((0, 7, 900))))
        return "random bytes"
    if way == 2:
        for name in rng.sample(names, rng.randint(1, 3)):
            del state[name]
    elif way == 3:
        state = {}
    elif way == 4:
        name = rng.choice(names)
        state[name] = state[name].flatten()[:1].clone()
    else:
        name = rng.choice([name for name in names if name.endswith("weight")])
        state[name] = torch.full_like(state[name], rng.choice(NUMBERS[:3]))
    save_file(state, file)
    return ("", "", "without some tensors", "without any tensor", "of another shape", "not finite")[way]


def _config(rng: Random, path: Path) -> str:
    """Change a configuration."""
    content = json.loads(path.read_text())
    key = rng.choice(sorted(content))
    value: Any = rng.choice((None, -1, 0, "x", [], {}, 10**400, "x" * 3000, True))
    text = rng.choice(("{", "[]", "", "null", "[" * 100_000, json.dumps({**content, key: value}, allow_nan=False)))
    path.write_text(text)
    return f"{path.name} {key}={str(value)[:20]}" if text.startswith('{"') else f"{path.name} {text[:5]!r}"


def model(rng: Random, folder: Path) -> Case:
    """A folder, and sometimes a file, as --model."""
    place = folder / "model"
    shutil.copytree(TINY, place)
    way, part = rng.randrange(6), rng.choice(PARTS)
    sort = "bad"
    if way == 0:
        shutil.rmtree(place / rng.choice((*PARTS, "tokenizer", "scheduler")))
        what = "without a part"
    elif way == 1:
        what = f"{part} {_tensors(rng, _weights(place, part))}"
        sort = "bad" if "finite" not in what else "either"  # a weight may be one that no recorded layer reads
    elif way == 2:
        what, sort = f"{part} {_config(rng, place / part / 'config.json')}", "either"
    elif way == 3:
        file = place / "tokenizer" / rng.choice(("merges.txt", "vocab.json", "tokenizer_config.json"))
        ways = (b"", b"{}", b"\xff\xfe", b"[" * 50_000)
        file.write_bytes(rng.choice(ways)) if rng.random() < 0.7 else file.unlink()
        what, sort = f"tokenizer/{file.name}", "either"
    elif way == 4:
        file = _weights(place, part)
        file.unlink()
        if rng.random() < 0.5:
            file.mkdir()
        what = f"{part} without weights, or with a folder for them"
    else:
        file = folder / "model.safetensors"
        file.write_bytes(rng.choice((b"", rng.randbytes(64), _weights(place, part).read_bytes())))
        place, what = file, "a file"
    if rng.random() < 0.05:
        shutil.rmtree(folder / "model")
        shutil.copytree(TINY, folder / "model")
        place, what, sort = folder / "model", "whole", "good"
    arguments = segment(folder, good_image(rng, folder), "--classes", "cat", "--model", place, "--backbone", "tiny")
    return Case(f"model {what}", sort, **arguments)  # type: ignore[arg-type]
