"""Training batches: a bank of scenes on disk, filled as it is read, and captions drawn anew at every visit."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from transformers import CLIPTokenizer

from scripts.train_tiny.backgrounds import COLOURS
from scripts.train_tiny.captions import caption
from scripts.train_tiny.model import MAX_TOKENS, RENDER_SIZE
from scripts.train_tiny.scenes import Scene, render, scene_rng
from scripts.train_tiny.sprites import read_words

CROWD = 6  # objects at most: more than elsewhere, since every object teaches
TRAIN_SEED = 1  # sets of other seeds (evaluation, examples, demos) are never trained on
GROUNDS = list(COLOURS)


@dataclass
class Batch:
    """images (B, 3, S, S) uint8; truth (B, K, S, S) uint8, 0 or 1; tokens (B, L); spans (B, K, L) of 0 and 1;
    present (B, K) bool: the caption names the class; ids (B, K) VOC class ids, 0 = no such object.
    """

    images: Tensor
    truth: Tensor
    tokens: Tensor
    spans: Tensor
    present: Tensor
    ids: Tensor


class SceneBank:
    """Training scenes of half size, `side` pixels, rendered when first asked for and kept in a file."""

    def __init__(self, path: Path, count: int, side: int = RENDER_SIZE) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.side = side
        shape = (count, side, side, 4)
        self.pixels = self.open(path.with_suffix(".pixels"), shape)  # RGB and mask
        self.grounds = self.open(path.with_suffix(".grounds"), (count, 3))  # filled flag, two grounds

    @staticmethod
    def open(path: Path, shape: tuple[int, ...]) -> np.ndarray:
        right = path.is_file() and path.stat().st_size == int(np.prod(shape))
        return np.memmap(path, np.uint8, "r+" if right else "w+", shape=shape)

    def __getitem__(self, index: int) -> Scene:
        pixels, (filled, *grounds) = self.pixels[index], self.grounds[index]
        if not filled:
            scene = render(scene_rng(TRAIN_SEED, index), (self.side, self.side), augment=True, max_objects=CROWD)
            pixels[..., :3], pixels[..., 3] = scene.image, scene.mask
            kinds = [GROUNDS.index(ground) for ground in scene.grounds]
            self.grounds[index] = (1, kinds[0], kinds[-1])
            return scene
        mask = np.array(pixels[..., 3])
        seen = np.unique(mask)
        words = tuple(word.name for word in read_words() if word.id in seen)
        return Scene(np.array(pixels[..., :3]), mask, words, tuple(dict.fromkeys(GROUNDS[i] for i in grounds)))


class BatchPlan(Dataset):
    """Batch number -> `Batch`, decided by the number alone: a resumed run sees what an uninterrupted one sees.

    sizes: sides of the images that the model is to see, in pixels; the batches of a step (`world` of them) are of one
    size, and steps take them in turn.
    """

    def __init__(
        self, bank_path: Path, bank_size: int, batch_size: int, tokenizer: CLIPTokenizer,
        sizes: Sequence[int] = (2 * RENDER_SIZE,), world: int = 1,
    ) -> None:  # fmt: skip
        self.bank_path, self.bank_size, self.batch_size, self.tokenizer = bank_path, bank_size, batch_size, tokenizer
        self.sides, self.world = [size // 2 for size in sizes], world
        self.bank: SceneBank | None = None

    def __getitem__(self, step: int) -> Batch:
        if self.bank is None:  # opened in the worker that reads it
            self.bank = SceneBank(self.bank_path, self.bank_size, max(self.sides))
        rng = np.random.default_rng([TRAIN_SEED, 10**9, step])
        start = step * self.batch_size
        if start + self.batch_size <= self.bank_size:
            indices = np.arange(start, start + self.batch_size)
        else:
            indices = rng.integers(0, self.bank_size, self.batch_size)
        side = self.sides[step // self.world % len(self.sides)]
        scenes = [smaller(self.bank[int(index)], side) for index in indices]
        return collate([vary(scene, rng) for scene in scenes], rng, self.tokenizer)


def smaller(scene: Scene, side: int) -> Scene:
    """The scene at `side` pixels, at most its own."""
    if side == scene.mask.shape[0]:
        return scene
    image = cv2.resize(scene.image, (side, side), interpolation=cv2.INTER_AREA)
    mask = cv2.resize(scene.mask, (side, side), interpolation=cv2.INTER_NEAREST_EXACT)
    return Scene(image, mask, scene.words, scene.grounds)


def vary(scene: Scene, rng: np.random.Generator) -> Scene:
    """Mirror the scene half of the time and tint it a little, so that a second visit is not the same."""
    image, mask = scene.image, scene.mask
    if rng.random() < 0.5:
        image, mask = image[:, ::-1], mask[:, ::-1]
    tinted = image * rng.uniform(0.9, 1.1, 3) + rng.uniform(-12, 12)
    return Scene(np.clip(tinted, 0, 255).astype(np.uint8), mask.copy(), scene.words, scene.grounds)


def collate(scenes: list[Scene], rng: np.random.Generator, tokenizer: CLIPTokenizer) -> Batch:
    """Draw captions and pack scenes; classes keep the order of their ids."""
    described = [caption(rng, scene) for scene in scenes]
    encoded = tokenizer(
        [text for text, _ in described], padding="max_length", truncation=True, max_length=MAX_TOKENS,
        return_offsets_mapping=True, return_tensors="np",
    )  # fmt: skip
    count, side = len(scenes), scenes[0].mask.shape[0]
    truth = np.zeros((count, CROWD, side, side), np.uint8)
    spans = np.zeros((count, CROWD, MAX_TOKENS), np.float32)
    present = np.zeros((count, CROWD), bool)
    ids = np.zeros((count, CROWD), np.int64)
    for i, (scene, (_, named)) in enumerate(zip(scenes, described, strict=True)):
        for k, label in enumerate(label for label in np.unique(scene.mask) if label):
            truth[i, k], ids[i, k] = scene.mask == label, label
            if label in named:
                start, end = named[int(label)]
                offsets = encoded["offset_mapping"][i]
                spans[i, k] = (offsets[:, 0] < end) & (offsets[:, 1] > start)
                present[i, k] = spans[i, k].any()
    images = np.stack([scene.image for scene in scenes]).transpose(0, 3, 1, 2)
    tensors = (images, truth, encoded["input_ids"].astype(np.int64), spans, present, ids)
    return Batch(*(torch.from_numpy(np.ascontiguousarray(array)) for array in tensors))
