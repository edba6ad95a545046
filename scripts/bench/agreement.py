"""What a precision, or another VAE, does to masks: the embedded model on scenes with truth, against float32."""

from typing import Any

import numpy as np
from tqdm import tqdm

from iseg import ISeg
from iseg.metrics import ConfusionMatrix
from scripts.bench.report import table
from scripts.train_tiny.scenes import render, scene_rng

SEED = 3  # the scenes of the model card


def agreement(scenes: int, dtypes: list[str], vae: str | None) -> dict[str, Any]:
    """mIoU (%) of every precision, and the share of pixels (%) whose label is that of float32."""
    models = {"float32": ISeg.from_pretrained("tiny", device="cpu", dtype="float32")}
    models |= {dtype: ISeg.from_pretrained("tiny", device="cpu", dtype=dtype) for dtype in dtypes if dtype != "float32"}
    if vae:
        models[f"vae {vae}"] = ISeg.from_pretrained("tiny", device="cpu", dtype="float32", vae=vae)
    ids = {word: i for i, word in enumerate((models["float32"].components.backbone.words or [])[:20], 1)}
    scores = {name: ConfusionMatrix(21) for name in models}
    equal: dict[str, list[float]] = {name: [] for name in models}
    for index in tqdm(range(scenes), desc="scenes", disable=None):
        scene = render(scene_rng(SEED, index))
        labels = np.array([0, *(ids[word] for word in scene.words)])
        masks = {}
        for name, model in models.items():
            masks[name] = labels[model.segment_batch([scene.image], [list(scene.words)])[0].mask]
            scores[name].update(scene.mask, masks[name])
            equal[name].append(float((masks[name] == masks["float32"]).mean()))
    result = {
        name: {"mIoU": 100 * float(scores[name].mean_iou()), "equal pixels": 100 * float(np.mean(equal[name]))}
        for name in models
    }
    rows = [[name, f"{row['mIoU']:.2f}", f"{row['equal pixels']:.3f}"] for name, row in result.items()]
    print(table(["embedded model", "mIoU %", "pixels equal to float32 %"], rows))
    return result
