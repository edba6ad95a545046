"""What a device's precision, or another VAE, does to masks, against float32 on the CPU and the model's own VAE."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from iseg import ISeg
from iseg.cli.check.machine import device_name
from iseg.evaluate.metrics import ConfusionMatrix
from iseg.files.images import read_image
from scripts.bench.report import table
from scripts.train_tiny.scenes import render, scene_rng

SEED = 3  # the scenes of the model card
PHOTOS = Path(__file__).parents[2] / "examples" / "photos"
SHOWN_ON = {"chelsea.jpg": ["cat"], "coffee.jpg": ["cup", "spoon"]}
PLAIN = "float32"
CPU = torch.device("cpu")

Pair = tuple[NDArray[np.uint8], list[str], NDArray[np.uint8] | None]  # image, words, truth


def agreement(
    scenes: int, dtypes: list[str], vae: str | None, model: str = "tiny", device: torch.device = CPU
) -> dict[str, dict[str, Any]]:
    """mIoU (%) of every precision of a device where there is truth, and the share of pixels (%) labelled as by float32.

    That is float32 on the CPU, whatever the device. The embedded model works on pictogram scenes with truth, any other
    on the photographs of `examples/`; `vae` is for these: the embedded model's latents are not Stable Diffusion's.
    """
    models = {PLAIN: ISeg.from_pretrained(model, device="cpu", dtype=PLAIN)}
    for dtype in dtypes:
        if (dtype, device.type) != (PLAIN, "cpu"):
            models[named(dtype, device)] = ISeg.from_pretrained(model, device=device, dtype=dtype)
    if vae:
        models[named(f"vae {vae}", device)] = ISeg.from_pretrained(model, device=device, dtype=PLAIN, vae=vae)
    words = models[PLAIN].backbone.row.words or []
    ids = {word: i for i, word in enumerate(words[:20], 1)}
    scores = {name: ConfusionMatrix(21) for name in models}
    equal: dict[str, list[float]] = {name: [] for name in models}
    for image, asked, truth in tqdm(list(_scenes(scenes) if model == "tiny" else _photos()), disable=None):
        masks = {}
        for name, each in models.items():
            masks[name] = each.segment_batch([image], [asked])[0].mask
            equal[name].append(float((masks[name] == masks[PLAIN]).mean()))
            if truth is not None:
                scores[name].update(truth, np.array([0, *(ids[word] for word in asked)])[masks[name]])
    result = {
        name: {
            "mIoU": 100 * float(scores[name].mean_iou()) if scores[name].counts.any() else None,
            "equal pixels": 100 * float(np.mean(equal[name])),
        }
        for name in models
    }
    rows = [
        [name, "" if row["mIoU"] is None else f"{row['mIoU']:.2f}", f"{row['equal pixels']:.3f}"]
        for name, row in result.items()
    ]
    print(table([f"{Path(model).name} on {device_name(device)}", "mIoU %", f"pixels equal to {PLAIN} %"], rows))
    return result


def named(what: str, device: torch.device) -> str:
    """A row's name: the CPU, where the reference is, goes without saying."""
    return what if device.type == "cpu" else f"{what} on {device.type}"


def _scenes(count: int) -> Iterator[Pair]:
    for index in range(count):
        scene = render(scene_rng(SEED, index))
        yield scene.image, list(scene.words), scene.mask


def _photos() -> Iterator[Pair]:
    for name, words in SHOWN_ON.items():
        yield read_image(PHOTOS / name), words, None
