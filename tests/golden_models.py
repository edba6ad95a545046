"""The small models of goldens f and g out of `tests/data/golden_models.zip`, as folders that loaders read."""

import json
import re
import zipfile
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from tokenizers.models import BPE

DATA = Path(__file__).parent / "data"
EMBEDDING = "text_model.embeddings.token_embedding.weight"
VOCABULARY = 49408  # rows of CLIP's word table
BEGIN, END, PAD = "<|startoftext|>", "<|endoftext|>", "!"
RECIPES = ("voc", "coco")


def build(folder: Path) -> None:
    """Write folder/tiny_sd21_shape and folder/tiny_clip. Words that golden f does not use have zeros for embeddings."""
    golden = np.load(DATA / "f_end_to_end.npz")
    with zipfile.ZipFile(DATA / "golden_models.zip") as file:
        for name in file.namelist():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            if name.endswith(".json"):
                (folder / name).write_bytes(file.read(name))
            elif name.endswith(".planes"):
                path = folder / name.removesuffix(".planes")
                tensors = unpack(file.read(name), file.read(name.replace(".planes", ".names.txt")).decode())
                if EMBEDDING in tensors and "text_encoder" in name:
                    table = np.zeros((VOCABULARY, tensors[EMBEDDING].shape[1]), np.float16)
                    table[np.unique([golden[f"{recipe}_token_ids"] for recipe in RECIPES])] = tensors[EMBEDDING]
                    tensors[EMBEDDING] = table
                save_file(tensors, path, {"format": "pt"})
    texts = [(str(golden[f"{recipe}_text"]), golden[f"{recipe}_token_ids"].tolist()) for recipe in RECIPES]
    write_tokenizer(folder / "tiny_sd21_shape" / "tokenizer", texts)


def build_cliper(folder: Path) -> Path:
    """Write folder/tiny_clip_p14, the image side of CLIPer's golden CLIP, and return it."""
    with zipfile.ZipFile(DATA / "cliper_models.zip") as file:
        [path] = [name.removesuffix(".planes") for name in file.namelist() if name.endswith(".planes")]
        (folder / path).parent.mkdir(parents=True)
        file.extract("tiny_clip_p14/config.json", folder)
        names = file.read(f"{path}.names.txt").decode()
        save_file(unpack(file.read(f"{path}.planes"), names), folder / path, {"format": "pt"})
    return (folder / path).parent


def unpack(data: bytes, names: str) -> dict[str, np.ndarray]:
    """The tensors of `pack_goldens.planes`."""
    flat = np.ascontiguousarray(np.frombuffer(data, np.uint8).reshape(2, -1).T).view(np.float16).ravel()
    tensors, start = {}, 0
    for line in names.splitlines():
        key, _, shape = line.partition(" ")
        sides = [int(side) for side in shape.split(",") if side]
        count = int(np.prod(sides))
        tensors[key] = flat[start : start + count].reshape(sides)
        start += count
    assert start == len(flat)
    return tensors


def write_tokenizer(folder: Path, texts: list[tuple[str, list[int]]]) -> None:
    """A CLIP tokenizer that gives the words of some texts the token ids that the golden holds for them.

    Its merges are made here; words that the texts do not hold fall apart into letters.
    """
    ids: dict[str, int] = {}
    for text, tokens in texts:
        words = re.findall(r"\w+|,", text)
        ids |= dict(zip([BEGIN, *(f"{word}</w>" for word in words), END], tokens, strict=False))
    words = sorted((key.removesuffix("</w>") for key in ids if key.endswith("</w>")), key=lambda word: -len(word))
    merges = spelling(words)
    letters = [chr(letter) + end for letter in range(ord("a"), ord("z") + 1) for end in ("", "</w>")]
    parts = dict.fromkeys([*letters, *(part for first, last in merges for part in (first, last, first + last))])
    free = (number for number in range(1, VOCABULARY) if number not in ids.values())
    vocabulary = {PAD: 0, **{part: next(free) for part in parts if part not in ids}, **ids}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *map(" ".join, merges)]) + "\n", encoding="utf-8")
    special = {"bos_token": BEGIN, "eos_token": END, "unk_token": END, "pad_token": PAD}
    (folder / "special_tokens_map.json").write_text(json.dumps(special), encoding="utf-8")
    config = {**special, "tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "do_lower_case": True}
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")


def spelling(words: list[str]) -> list[tuple[str, str]]:
    """Merges that spell each word from left to right; a word that other words' merges break apart goes first."""
    while True:
        merges: dict[tuple[str, str], int] = {}
        for word in words:
            for end in range(1, len(word)):
                merges[word[:end], word[end] + ("</w>" if end == len(word) - 1 else "")] = len(merges)
        parts = {part for pair in merges for part in (*pair, "".join(pair))}
        vocabulary = {part: number for number, part in enumerate(sorted(parts | {f"{word}</w>" for word in words}))}
        model = BPE(vocabulary, list(merges), end_of_word_suffix="</w>")
        broken = [word for word in words if len(model.tokenize(word)) > 1]
        if not broken:
            return list(merges)
        words = [*broken, *(word for word in words if word not in broken)]
