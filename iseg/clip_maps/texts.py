"""Class words -> text features, kept on disk, since those of a large vocabulary take minutes on a CPU."""

import contextlib
import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from iseg.backbones.digests import file_digest, state_folder
from iseg.backbones.read import weight_files
from iseg.errors import InputError
from iseg.files.export import atomic_path
from iseg.settings import configs_folder
from iseg.tagging.load import PICKLE, VOCABULARIES
from iseg.tagging.text import read_templates


def split_names(names: Sequence[str]) -> list[list[str]]:
    """Classes "sofa|couch" -> [["sofa", "couch"]]. Raises InputError for no class, an empty or a repeated name."""
    if isinstance(names, str) or not names:
        raise InputError(f"the classes are {names!r}: expected a list of at least one word, e.g. ['cat', 'sofa|couch']")
    classes = [[name.strip() for name in each.split("|")] for each in names]
    seen: set[str] = set()
    for position, each in enumerate(classes, 1):
        for name in each:
            if not name:
                raise InputError(f"class {position} is {names[position - 1]!r}: expected a word, or words like 'a|b'")
            if name.casefold() in seen:
                raise InputError(f"class name {name!r} is given twice: expected each name once")
            seen.add(name.casefold())
    return classes


def other_words(background: Sequence[str], classes: Sequence[Sequence[str]]) -> list[str]:
    """Background words without those that are names of a class, each once."""
    taken = {name.casefold() for each in classes for name in each}
    return [word for word in dict.fromkeys(background) if word.casefold() not in taken]


def named_templates(name: str) -> list[str]:
    """The sentences of "short15", "openai80", "tagclip", or a YAML file. InputError for one that cannot be read."""
    if name == "tagclip":
        return read_templates()
    inside = configs_folder() / "clip_maps" / f"{name}.yaml"
    return read_templates(inside if inside.is_file() else name)


def clip_digest(folder: Path) -> str:
    """SHA-256 of a CLIP folder's weights and tokenizer."""
    weights = weight_files(folder) or [folder / PICKLE]
    return file_digest(*weights, *(folder / name for name in VOCABULARIES if (folder / name).is_file()))


def kept_features(clip: str, templates: Sequence[str], words: Sequence[str], make: Callable[[], Tensor]) -> Tensor:
    """`make()`, (C, D) float32 features of words, or what an earlier call with the same CLIP, templates, words made.

    They lie in the state folder (see `state_folder`); where that takes no file they are made every time.
    """
    key = json.dumps([clip, list(templates), list(words)]).encode()
    path = state_folder() / "texts" / f"{hashlib.sha256(key).hexdigest()}.safetensors"
    with contextlib.suppress(OSError, SafetensorError, KeyError):  # none, or damaged
        features = load_file(path)["features"]
        if features.shape[0] == len(words) and torch.isfinite(features).all():
            return features
    features = make().cpu()
    with contextlib.suppress(InputError), atomic_path(path) as temporary:
        save_file({"features": features.contiguous()}, temporary)
    return features
