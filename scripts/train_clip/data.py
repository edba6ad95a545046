"""Training batches for the small CLIP: scenes of pictograms with the share of every class in every patch."""

import functools
from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from iseg.tagging.vision import CLIP_MEAN, CLIP_STD
from scripts.train_clip.model import GROUNDS, IMAGE_SIZE, PATCH
from scripts.train_tiny.scenes import Scene, render, scene_rng
from scripts.train_tiny.sprites import read_words

NUM_OBJECTS = 20
SCENE_SIZE = 144  # pixels; 9 x 9 patches
POOL = 12000  # scenes rendered once and used again with other crops and flips: rendering takes as long as a step


@dataclass(frozen=True)
class Batch:
    """pixels: (B, 3, S, S) normalised. shares: (B, N, 21) area of every class in every patch, background first.

    grounds: (B, G) bool, the grounds of each scene. hidden: (B, N) bool, patches the class token must not see.
    seen: (B, 20) the objects' shares of what the class token sees, summing to 1.
    """

    pixels: Tensor
    shares: Tensor
    grounds: Tensor
    hidden: Tensor
    seen: Tensor


@functools.cache
def pooled_scene(seed: int, index: int, augmented: float) -> Scene:
    """Scene `index` of the pool; `augmented` is the share of scenes with strong changes of style."""
    rng = scene_rng(seed, index)
    return render(rng, (SCENE_SIZE, SCENE_SIZE), augment=bool(rng.random() < augmented))


def window(scene: Scene, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Image and mask, at the model's own size, of a square part of the scene that holds a random pixel of an object."""
    side = int(rng.uniform(0.5, 1) * SCENE_SIZE)
    rows, columns = np.nonzero(scene.mask)
    pick = int(rng.integers(len(rows)))
    top = int(np.clip(rows[pick] - rng.integers(side), 0, SCENE_SIZE - side))
    left = int(np.clip(columns[pick] - rng.integers(side), 0, SCENE_SIZE - side))
    part = (slice(top, top + side), slice(left, left + side))
    size = (IMAGE_SIZE, IMAGE_SIZE)
    image = cv2.resize(scene.image[part], size, interpolation=cv2.INTER_AREA if side > IMAGE_SIZE else cv2.INTER_LINEAR)
    return image, cv2.resize(scene.mask[part], size, interpolation=cv2.INTER_NEAREST)


def make_batch(seed: int, step: int, size: int, augmented: float, whole: bool) -> Batch:
    """The batch of a step, decided by the arguments alone: whole scenes, or parts of them round an object.

    Parts have fewer patches and more of them on objects, so most of the training uses them. `augmented`: see
    `pooled_scene`.
    """
    images, masks, grounds = [], [], torch.zeros(size, len(GROUNDS), dtype=torch.bool)
    rng = np.random.default_rng([seed, step, 1])
    for index in range(size):
        scene = pooled_scene(seed, int(rng.integers(POOL)), augmented)
        image, mask = (scene.image, scene.mask) if whole else window(scene, rng)
        flip = slice(None, None, -1 if rng.random() < 0.5 else 1)
        images.append(image[:, flip])
        masks.append(mask[:, flip])
        grounds[index, [GROUNDS.index(name) for name in scene.grounds]] = True
    mean, std = torch.tensor(CLIP_MEAN)[:, None, None], torch.tensor(CLIP_STD)[:, None, None]
    pixels = (torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255 - mean) / std
    owners = F.one_hot(torch.from_numpy(np.stack(masks)).long(), NUM_OBJECTS + 1).permute(0, 3, 1, 2).float()
    shares = F.avg_pool2d(owners, PATCH).flatten(2).transpose(1, 2)  # (B, N, 21)
    hidden = choose_hidden(shares, rng)
    areas = (shares[..., 1:] * ~hidden[..., None]).sum(1)
    return Batch(pixels, shares, grounds, hidden, areas / areas.sum(1, keepdim=True).clamp_min(1e-6))


def choose_hidden(shares: Tensor, rng: np.random.Generator) -> Tensor:
    """(B, N) bool: for half of the scenes the class token sees one object's patches only."""
    hidden = torch.zeros(shares.shape[:2], dtype=torch.bool)
    for index, areas in enumerate(shares[..., 1:].sum(1)):
        present = torch.nonzero(areas > 0.5).flatten()
        if len(present) and rng.random() < 0.5:
            chosen = present[int(rng.integers(len(present)))]
            outside = shares[index, :, 1 + chosen] < 0.25
            hidden[index] = outside if not outside.all() else hidden[index]
    return hidden


def class_names() -> list[str]:
    """The 20 words in VOC's order."""
    return [word.name for word in read_words()]
