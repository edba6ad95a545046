"""The tiny model's parts, freshly initialised: autoencoder, vocabulary, text encoder, UNet, scheduler."""

import functools
import itertools
import json
import tempfile
from pathlib import Path

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from iseg.backbones.patch_autoencoder import PatchAutoencoder
from scripts.train_tiny.captions import COCO_CONTEXT
from scripts.train_tiny.scenes import render, scene_rng
from scripts.train_tiny.sprites import read_words

IMAGE_SIZE = 384
GRID = 48  # side of the latents and of the self-attention that refinement uses
LATENT_CHANNELS = 16
RENDER_SIZE = IMAGE_SIZE // 2  # scenes are trained on at half size: the autoencoder averages 2x2 pixels anyway
MAX_TOKENS = 77
SELF_LAYER = "up_blocks.2.attentions.0.transformer_blocks.0.attn1"
CROSS_LAYERS = {
    24: tuple(f"up_blocks.1.attentions.{i}.transformer_blocks.0.attn2" for i in (0, 1)),
    12: tuple(f"up_blocks.0.attentions.{i}.transformer_blocks.0.attn2" for i in (0, 1)),
}
PROMPT_WORDS = "a photograph photography picture of and other object background with the in on an or"


@functools.cache
def patch_basis(seed: int = 77, scenes: int = 200) -> tuple[Tensor, Tensor]:
    """Principal components of 4x4 patches of scenes of 128 pixels, scaled to unit variance.

    Returns weight (C, 3, 4, 4) and bias (C,) for images in [-1, 1].
    """
    images = torch.stack([torch.from_numpy(render(scene_rng(seed, i), (128, 128)).image) for i in range(scenes)])
    pixels = images.permute(0, 3, 1, 2).double() / 127.5 - 1
    patches = torch.nn.functional.unfold(pixels, 4, stride=4).transpose(1, 2).flatten(0, 1)  # (patches, 48)
    mean = patches.mean(0)
    values, vectors = torch.linalg.eigh(torch.cov(patches.T))
    values, vectors = values.flip(0)[:LATENT_CHANNELS], vectors.flip(1)[:, :LATENT_CHANNELS]
    vectors = vectors * vectors.sum(0).sign()  # an eigenvector's sign is arbitrary: fix it
    weight = (vectors / values.sqrt()).T  # (C, 48)
    return weight.reshape(-1, 3, 4, 4).float(), -(weight @ mean).float()


def build_autoencoder() -> PatchAutoencoder:
    """The autoencoder of full-size images: 2x2 averages, then the half-size basis."""
    weight, bias = patch_basis()
    autoencoder = PatchAutoencoder(3, LATENT_CHANNELS, IMAGE_SIZE // GRID)
    wide = weight.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3) / 4
    autoencoder.encoder.weight.data.copy_(wide)
    autoencoder.encoder.bias.data.copy_(bias)
    return autoencoder.requires_grad_(False)


def known_text() -> list[str]:
    """Every word that gets a token of its own, in a fixed order."""
    words = [part for word in read_words() for name in (word.name, *word.also) for part in name.split()]
    context = COCO_CONTEXT.replace(",", " ").split()
    grounds = ["sand", "snow", "road", "night"]
    return sorted({*words, *context, *grounds, *PROMPT_WORDS.split()})


def byte_symbols() -> list[str]:
    """The 256 printable characters that byte-level BPE writes bytes as, in the order of the bytes."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    spare = iter(range(256, 512))
    return [chr(byte) if byte in plain else chr(next(spare)) for byte in range(256)]


def merge_rules(words: list[str]) -> list[tuple[str, str]]:
    """Byte-pair merges that make every word of `words` one token: the most frequent pair first, ties by spelling."""
    pieces = {word: [*word[:-1], f"{word[-1]}</w>"] for word in words}
    rules: list[tuple[str, str]] = []
    while True:
        counts: dict[tuple[str, str], int] = {}
        for parts in pieces.values():
            for pair in itertools.pairwise(parts):
                counts[pair] = counts.get(pair, 0) + 1
        if not counts:
            return rules
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        rules.append(best)
        for word, parts in pieces.items():
            pieces[word] = join_pair(parts, best)


def join_pair(parts: list[str], pair: tuple[str, str]) -> list[str]:
    """Replace each occurrence of `pair`, from the left."""
    joined: list[str] = []
    for part in parts:
        # A piece that was just joined is longer than either half, so it cannot be joined twice.
        if joined and (joined[-1], part) == pair:
            joined[-1] += part
        else:
            joined.append(part)
    return joined


def build_tokenizer() -> CLIPTokenizer:
    """CLIP's tokenizer over a small vocabulary: known words are one token, any other text is bytes."""
    rules = merge_rules(known_text())
    symbols = byte_symbols()
    tokens = [*symbols, *(f"{symbol}</w>" for symbol in symbols), *dict.fromkeys(a + b for a, b in rules)]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
        (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *(f"{a} {b}" for a, b in rules)]) + "\n")
        (folder / "tokenizer_config.json").write_text(
            json.dumps({"tokenizer_class": "CLIPTokenizer", "model_max_length": MAX_TOKENS})
        )
        return CLIPTokenizer.from_pretrained(folder)


def build_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """A CLIP text encoder two layers deep.

    CLIP starts with embeddings so small that all words come out nearly alike (cosine 0.99), and telling objects apart
    starts late; here a token's own embedding outweighs what the layers add to it.
    """
    encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer), hidden_size=96, intermediate_size=384, projection_dim=96, num_hidden_layers=2,
            num_attention_heads=4, max_position_embeddings=MAX_TOKENS, bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
        )
    )  # fmt: skip
    torch.nn.init.normal_(encoder.get_parameter("embeddings.token_embedding.weight"), std=0.7)
    torch.nn.init.normal_(encoder.get_parameter("embeddings.position_embedding.weight"), std=0.1)
    return encoder


def build_unet() -> UNet2DConditionModel:
    """A UNet with cross-attention at 24x24 and 12x12 and a single attention layer, the last one, at 48x48.

    `attention_head_dim` is the number of heads: diffusers keeps the name for old checkpoints' sake.
    """
    return UNet2DConditionModel(
        sample_size=GRID, in_channels=LATENT_CHANNELS, out_channels=LATENT_CHANNELS, block_out_channels=(64, 64, 128),
        layers_per_block=(0, 1, 1), norm_num_groups=16, cross_attention_dim=96, attention_head_dim=(2, 4, 4),
        use_linear_projection=True, mid_block_type=None,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
    )  # fmt: skip


def build_scheduler() -> DDIMScheduler:
    """Stable Diffusion's noise schedule, epsilon prediction."""
    return DDIMScheduler(
        num_train_timesteps=1000, beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False,
        set_alpha_to_one=False, steps_offset=1, prediction_type="epsilon",
    )  # fmt: skip


def parameters(*modules: torch.nn.Module) -> int:
    """Number of parameters."""
    return sum(weight.numel() for module in modules for weight in module.parameters())
