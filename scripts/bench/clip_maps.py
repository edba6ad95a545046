"""What maps by CLIP cost at full size: ViT-L/14 and Stable Diffusion 2.1's shape with random weights, one picture.

    python -m scripts.bench.clip_maps [--model runs/benchmark/sd21-shape] [--dtype float32] [--crop 336]

The recipe is configs/ovs/cliper/voc21.yaml: 20 classes, 25 background words, 15 sentences each, 336 pixels, ten heads.
Prints a table: the seconds of every stage, run once after loading, and the most memory that the process had held by
then. The model is made where it is not there, 5 GB on disk; run it again then, since making it takes memory, too.
"""

import argparse
import os
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

from iseg import ISeg
from iseg.clip_maps import ClipSource, decision, product
from iseg.clip_maps.segment import columns_of
from iseg.clip_maps.settings import load_clip_maps
from iseg.evaluate.score import markdown
from iseg.masks import resize
from scripts.bench.models import ensure_random_model

LARGE: dict[str, Any] = {
    "vision_config": {
        "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16,
        "image_size": 224, "patch_size": 14, "projection_dim": 768,
    },
    "text_config": {
        "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12,
        "projection_dim": 768,
    },
    "projection_dim": 768,
}  # fmt: skip
TOKENIZER = Path(__file__).parents[2] / "iseg" / "models" / "tiny" / "tokenizer"  # any will do: rows of a random table
PICTURE = (500, 375)  # width, height
Result = TypeVar("Result")


class Stages:
    """Rows of the table: each call's seconds, and the peak of memory after it in GB."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str, str]] = []

    def run(self, name: str, call: Callable[[], Result]) -> Result:
        start = time.perf_counter()
        result = call()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # kilobytes on Linux
        self.rows.append((name, f"{time.perf_counter() - start:.2f}", f"{peak:.2f}"))
        print(*self.rows[-1], file=sys.stderr, flush=True)
        return result


@torch.inference_mode()
def measure(model: Path, dtype: str, crop: int) -> list[tuple[str, str, str]]:
    """The rows of the table."""
    stages, picture = Stages(), np.random.default_rng(0).integers(0, 256, (*PICTURE[::-1], 3), np.uint8)
    torch.manual_seed(0)
    settings = load_clip_maps("ovs/cliper/voc21")
    clip = stages.run("load CLIP", lambda: CLIPModel(CLIPConfig(**LARGE)).eval().requires_grad_(False))
    source = ClipSource(clip, CLIPTokenizer.from_pretrained(TOKENIZER), settings)
    names = settings.names or []
    stages.run(f"text, {len(names) + len(settings.background)} words x {len(source.templates)} sentences, once",
               lambda: source.texts(names))  # fmt: skip
    maps = stages.run("CLIP's maps", lambda: source.maps(picture, names))
    source.settings = replace(settings, crop=crop)
    stages.run(f"the same with a sliding window of {crop}", lambda: source.maps(picture, names))
    chosen: dict[str, Any] = {"device": "cpu", "dtype": dtype, "backbone": "sd21-base"}
    seg = stages.run("load diffusion model", lambda: ISeg.from_pretrained(str(model), **chosen))
    state = seg.set_image(picture)
    heads = stages.run("VAE and UNet, ten heads recorded", lambda: seg.heads(state, settings.timestep))
    side = round(len(heads[0].query) ** 0.5)
    columns = columns_of(resize(maps, (side, side)))
    made = (head.matrix() for head in reversed(heads))
    refined = stages.run("product of ten heads", lambda: product.apply_heads(made, columns, settings.threshold))
    grids = refined.T.unflatten(1, (side, side)).contiguous()
    scores = decision.class_scores(grids, maps.flatten(1).amax(1))
    every = replace(settings, score_threshold=0.0)
    stages.run("decision, every class alive", lambda: decision.decide(grids, scores, PICTURE[::-1], every))
    return stages.rows


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path("runs/benchmark/sd21-shape"))
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--crop", type=int, default=336)
    options = parser.parse_args(arguments)
    rows = measure(ensure_random_model(options.model), options.dtype, options.crop)
    print(markdown(("stage", "seconds", "peak RSS GB"), rows))
    print(f"{torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f} of {os.cpu_count()} cores")
    return 0


if __name__ == "__main__":
    sys.exit(main())
