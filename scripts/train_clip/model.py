"""The small CLIP: its words, tokenizer and configuration."""

import json
import math

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from torch import Tensor, nn
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

from scripts.train_tiny.backgrounds import COLOURS
from scripts.train_tiny.sprites import read_words

GROUNDS = tuple(COLOURS)  # the words for what is not an object
BEGIN, END = "<|startoftext|>", "<|endoftext|>"
IMAGE_SIZE, PATCH = 96, 16
SUFFIX = "</w>"


def make_tokenizer(templates: list[str]) -> CLIPTokenizer:
    """CLIP's kind of tokenizer over the words of the scenes and the templates: each of them is one token."""
    names = [name for word in read_words() for name in (word.name, *word.also)]
    corpus = sorted({piece for text in (*names, *GROUNDS, *templates) for piece in text.lower().split()})
    learner = Tokenizer(models.BPE(end_of_word_suffix=SUFFIX))
    learner.normalizer = normalizers.Lowercase()
    learner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    letters = [chr(code) for code in range(33, 127)]
    learner.train_from_iterator(
        corpus,
        trainers.BpeTrainer(
            vocab_size=20_000, initial_alphabet=letters, end_of_word_suffix=SUFFIX, show_progress=False, min_frequency=1
        ),
    )
    merges = [tuple(pair) for pair in _merges(learner)]
    pieces = [*letters, *(letter + SUFFIX for letter in letters), *("".join(pair) for pair in merges), BEGIN, END]
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
    return CLIPTokenizer(
        vocab=vocabulary,
        merges=merges,  # type: ignore[arg-type]  # annotated as list[str], but only pairs are taken
        unk_token=END,
        bos_token=BEGIN,
        eos_token=END,
        pad_token=END,
        model_max_length=77,
    )


def _merges(tokenizer: Tokenizer) -> list[list[str]]:
    return json.loads(tokenizer.to_str())["model"]["merges"]


def make_model(tokenizer: CLIPTokenizer) -> CLIPModel:
    """An untrained CLIPModel of 1.5 million weights that fits the tokenizer."""
    text = {
        "hidden_size": 64,
        "intermediate_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "vocab_size": len(tokenizer),
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "projection_dim": 64,
    }
    vision = {
        "hidden_size": 128,
        "intermediate_size": 512,
        "num_hidden_layers": 6,
        "num_attention_heads": 4,
        "image_size": IMAGE_SIZE,
        "patch_size": PATCH,
        "projection_dim": 64,
    }
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=64))
    start_local(model)
    return model


@torch.no_grad()
def start_local(model: CLIPModel) -> None:
    """Let blocks start out attending to near and similar patches (mimetic initialisation, arXiv 2305.09828).

    Queries equal keys, value times output is a negative multiple of the identity, positions are sines: a small vision
    transformer then needs fewer scenes to begin to learn.
    """
    vision = model.vision_model
    for layer in vision.encoder.layers:
        attention = layer.self_attn
        nn.init.orthogonal_(attention.q_proj.weight)
        attention.k_proj.weight.copy_(attention.q_proj.weight)
        nn.init.orthogonal_(attention.v_proj.weight)
        attention.out_proj.weight.copy_(-0.4 * attention.v_proj.weight.T)
    positions = vision.embeddings.position_embedding.weight
    positions[1:] = sines(IMAGE_SIZE // PATCH, positions.shape[1])


@torch.no_grad()
def start_whitened(model: CLIPModel, pixels: Tensor) -> None:
    """Let the patch embedding start as the whitened principal components of patches of scenes (B, 3, H, W)."""
    kernel = model.vision_model.embeddings.patch_embedding.weight  # (C, 3, P, P)
    patches = nn.functional.unfold(pixels, PATCH, stride=PATCH).transpose(1, 2).flatten(0, 1)  # (n, 3 P P)
    values, vectors = torch.linalg.eigh(torch.cov(patches.T))
    strongest = vectors[:, -kernel.shape[0] :] / (values[-kernel.shape[0] :] + 1e-2).sqrt()
    kernel.copy_(strongest.T.reshape(kernel.shape))


def sines(side: int, width: int) -> Tensor:
    """(side * side, width) positions: sines and cosines of row and column at wavelengths from 2 to 4 * side cells."""
    count = width // 4
    wavelengths = 2 * (2 * side) ** (torch.arange(count) / (count - 1))
    angles = 2 * math.pi * torch.arange(side)[:, None] / wavelengths  # (side, count)
    line = torch.cat([angles.sin(), angles.cos()], 1)
    rows, columns = line[:, None].expand(side, side, -1), line[None].expand(side, side, -1)
    return torch.cat([rows, columns], 2).flatten(0, 1)
