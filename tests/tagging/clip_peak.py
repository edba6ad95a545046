"""How much memory labelling the largest image takes, with CLIP ViT-B/16 of random weights; minutes, not a test.

PYTHONPATH=. python tests/tagging/clip_peak.py
"""

import numpy as np
import torch
from transformers import CLIPConfig, CLIPModel

from iseg.tagging import TagClip, Tagger
from iseg.tagging.tagger import MAX_PATCHES

CLASSES, TEXTS, WIDTH = 20, 45, 512


def peak() -> float:
    """The most memory that this process held so far, in GB."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1e6


class RandomTexts(Tagger):
    """A tagger that needs no tokenizer."""

    def texts(self, names):
        return torch.nn.functional.normalize(torch.randn(TEXTS, WIDTH), dim=-1)


if __name__ == "__main__":
    torch.manual_seed(0)
    config = CLIPConfig(vision_config={"patch_size": 16, "image_size": 224}, projection_dim=WIDTH)
    tagger = RandomTexts(CLIPModel(config).eval().requires_grad_(False), None, TagClip(candidate=0.3))  # type: ignore[arg-type]
    side = 16 * round(MAX_PATCHES**0.5)
    print(f"{peak():.2f} GB with the model loaded")
    tagger.tag(np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8), [f"{k}" for k in range(CLASSES)])
    print(f"{peak():.2f} GB after an image of {side}x{side} pixels")
