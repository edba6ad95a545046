"""Train the small CLIP of the demo.

    python -m scripts.train_clip.train --out runs/tiny_clip [--steps 1600] [--batch 64] [--seed 9100] [--init FOLDER]

Supervised by the scenes' masks: every patch is asked which word it shows, the class token which objects it sees. A run
that was stopped goes on from its last checkpoint; `--init` starts a new one from an exported model, on other scenes if
the seed is another.
"""

import argparse
import math
import os
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor
from tqdm import tqdm
from transformers import CLIPModel, CLIPTokenizer

from iseg.tagging.text import read_templates
from iseg.tagging.vision import block, embed, project
from scripts.train_clip.data import Batch, class_names, make_batch
from scripts.train_clip.model import GROUNDS, make_model, make_tokenizer, start_whitened
from scripts.train_tiny.optimizer import MatrixOptimizer
from scripts.train_tiny.sprites import read_words

LEARNING_RATE, MATRIX_RATE, WARM_UP = 1.2e-3, 1.5e-3, 100
BACKGROUND_WEIGHT = 0.3  # most patches are background
PARTS_UNTIL = 0.75  # of the steps: parts of scenes first, whole scenes after
TEXT_STEPS = 400
TOKEN_WEIGHT = 0.5  # of the class token's loss
CHECKPOINT_EVERY = 100
LARGEST_SCALE = math.log(100)


def text_features(
    model: CLIPModel, tokenizer: CLIPTokenizer, templates: list[str], generator: torch.Generator
) -> Tensor:
    """(28, D) unit features of the 20 words and the grounds in random templates, now and then by another name."""

    def draw(count: int) -> int:
        return int(torch.randint(count, (1,), generator=generator))

    names = [(word.name, *word.also)[draw(1 + len(word.also)) if draw(6) == 0 else 0] for word in read_words()]
    texts = [templates[draw(len(templates))].format(name) for name in (*names, *GROUNDS)]
    ids = tokenizer(texts, padding=True, return_tensors="pt")["input_ids"]
    return F.normalize(model.get_text_features(ids).pooler_output, dim=-1)


def teach_words(model: CLIPModel, tokenizer: CLIPTokenizer, templates: list[str], seed: int) -> None:
    """Train the text side alone until the words' features are at right angles, whatever the template.

    Features of an untrained text side all but coincide, which leaves the image side nothing to tell apart.
    """
    text_side = [*model.text_model.parameters(), *model.text_projection.parameters()]
    optimizer = torch.optim.AdamW(text_side, 2e-3, weight_decay=0.0)
    codes = torch.linalg.qr(torch.randn(model.text_projection.out_features, len(class_names()) + len(GROUNDS)))[0].T
    bar = tqdm(range(TEXT_STEPS), desc="words", mininterval=10)
    for step in bar:
        generator = torch.Generator().manual_seed(seed + step)
        likeness = text_features(model, tokenizer, templates, generator) @ codes.T
        loss = F.cross_entropy(20 * likeness, torch.arange(len(codes))) + (1 - likeness.diagonal()).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        bar.set_postfix(likeness=f"{likeness.diagonal().mean():.3f}", refresh=False)


def image_features(model: CLIPModel, batch: Batch) -> tuple[Tensor, Tensor]:
    """Unit features of the class token (B, D) and of the patches (B, N, D), which the last block keeps apart."""
    tokens, _ = embed(model, batch.pixels)
    *layers, last = model.vision_model.encoder.layers
    for layer in layers:
        tokens, _ = block(layer, tokens, batch.hidden)
    seen = block(last, tokens, batch.hidden)[0][:, 0]
    apart = block(last, tokens, mix=False)[0][:, 1:]
    return F.normalize(project(model, seen), dim=-1), F.normalize(project(model, apart), dim=-1)


def losses(model: CLIPModel, texts: Tensor, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Loss over patches, loss of the class token, and the share of object patches whose best word is right."""
    scale = model.logit_scale.clamp(max=LARGEST_SCALE).exp()
    token, patches = image_features(model, batch)
    objects = len(class_names())
    scores = (scale * patches @ texts.T).log_softmax(-1)  # (B, N, 28)
    # any ground that the scene shows will do for a patch of background
    ground = scores[..., objects:].masked_fill(~batch.grounds[:, None], -torch.inf).logsumexp(-1)
    right_words = (batch.shares[..., 1:] * scores[..., :objects]).sum(-1)
    patch_loss = -(right_words + BACKGROUND_WEIGHT * batch.shares[..., 0] * ground).mean()
    token_scores = (scale * token @ texts[:objects].T).log_softmax(-1)
    solid = batch.shares[..., 1:].amax(-1) > 0.5
    right = scores.argmax(-1)[solid] == batch.shares[..., 1:].argmax(-1)[solid]
    return patch_loss, -(batch.seen * token_scores).sum(-1).mean(), right.float().mean()


def save_state(path: Path, state: dict) -> None:
    """Write a checkpoint so that a reader never sees half of it."""
    partial = path.with_suffix(".part")
    torch.save(state, partial)
    os.replace(partial, path)


def train(out: Path, steps: int, batch_size: int, seed: int, augmented: float, init: Path | None = None) -> CLIPModel:
    """Train, going on from OUT/checkpoint.pt where there is one, and write the float16 model folder OUT/model."""
    out.mkdir(parents=True, exist_ok=True)
    templates = read_templates()
    tokenizer = make_tokenizer(templates)
    torch.manual_seed(seed)
    model = make_model(tokenizer).train()
    checkpoint, first = out / "checkpoint.pt", 0
    if init is not None:
        model.load_state_dict(load_file(init / "model.safetensors"))
    elif not checkpoint.is_file():
        start_whitened(model, make_batch(seed, 0, 2 * batch_size, augmented, whole=True).pixels)
        teach_words(model, tokenizer, templates, seed)
    model.text_model.requires_grad_(False)
    model.text_projection.requires_grad_(False)
    optimizer = MatrixOptimizer([model], LEARNING_RATE, MATRIX_RATE, rank=0, world=1)
    if checkpoint.is_file():
        state = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        first = state["step"]
    bar = tqdm(range(first, steps), initial=first, total=steps, desc="small CLIP", mininterval=10)
    for step in bar:
        rate = min(1, (step + 1) / WARM_UP) * 0.5 * (1 + math.cos(math.pi * step / steps))  # share of the full one
        whole = step >= PARTS_UNTIL * steps
        batch = make_batch(seed, step, batch_size // 2 if whole else batch_size, augmented, whole)
        texts = text_features(model, tokenizer, templates, torch.Generator().manual_seed(seed + step))
        patch_loss, token_loss, right = losses(model, texts, batch)
        optimizer.zero_grad()
        (patch_loss + TOKEN_WEIGHT * token_loss).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step(rate)
        bar.set_postfix(patch=f"{patch_loss:.3f}", token=f"{token_loss:.3f}", right=f"{right:.2f}", refresh=False)
        if (step + 1) % CHECKPOINT_EVERY == 0 or step + 1 == steps:
            save_state(checkpoint, {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step + 1})
    model.eval().half().save_pretrained(out / "model")
    tokenizer.save_pretrained(out / "model")
    return model


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1600)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--seed", type=int, default=9100)
    parser.add_argument("--augmented", type=float, default=0.15, help="share of scenes with strong changes of style")
    parser.add_argument("--init", type=Path, help="folder of an exported model to start from")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    train(options.out, options.steps, options.batch, options.seed, options.augmented, options.init)
    return 0


if __name__ == "__main__":
    sys.exit(main())
