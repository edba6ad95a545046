"""Measure the labels of the small CLIP on scenes it has never seen; with --export write it into the package.

    python -m scripts.train_clip.evaluate --model runs/tiny_clip/model [--scenes 200] [--export]

The threshold is chosen on other scenes than those reported on. --export writes iseg/models/tiny_clip with its card; the
threshold that it prints belongs into configs/ovs/demo.yaml.
"""

import argparse
import shutil
import sys
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from iseg.errors import InputError
from iseg.evaluate.score import markdown, percent
from iseg.files.export import write_bytes, write_json
from iseg.tagging import Tagger, load_tagging
from iseg.tagging.quality import quality
from iseg.tagging.scores import select
from scripts.train_clip.data import class_names
from scripts.train_tiny.make_set import SIZES
from scripts.train_tiny.scenes import render, scene_rng

TUNING_SEED, REPORT_SEED = 9201, 9202  # training uses 9100
THRESHOLDS = [step / 20 for step in range(2, 20)]
TARGET = Path(__file__).parents[2] / "iseg" / "models" / "tiny_clip"

Scored = dict[str, tuple[list[int], list[float]]]


def score_scenes(tagger: Tagger, seed: int, count: int, style: str = "seen") -> Scored:
    """{scene: (indices of the words it shows, scores of all words)}; sizes vary, most are not square."""
    names, scored = class_names(), {}
    for index in tqdm(range(count), desc=f"{style} scenes, seed {seed}", disable=None):
        rng = scene_rng(seed, index)
        scene = render(rng, SIZES[int(rng.integers(len(SIZES)))], style)
        scored[str(index)] = ([names.index(word) for word in scene.words], tagger.tag(scene.image, names).scores)
    return scored


def measure(scored: Scored, threshold: float) -> dict[str, Any]:
    """Quality of the labels that a threshold gives."""
    truth = {name: words for name, (words, _) in scored.items()}
    scores = {name: values for name, (_, values) in scored.items()}
    return quality(truth, {name: select(values, threshold) for name, values in scores.items()}, class_names(), scores)


def best_threshold(scored: Scored) -> float:
    """The threshold of the highest F1."""
    return max(THRESHOLDS, key=lambda threshold: measure(scored, threshold)["f1"])


def card(figures: dict[str, Any], parameters: int) -> str:
    """The model card."""
    count, threshold = figures["count"], figures["threshold"]
    rows = [
        (name, *(percent(each[key]) for key in ("precision", "recall", "f1", "map")))
        for name, each in figures["scenes"].items()
    ]
    return f"""# tiny_clip: the small CLIP of the demo

A `CLIPModel` of {parameters / 1e6:.1f} million weights (vision transformer: 6 blocks of 128, patches of 16 pixels; text
transformer: 2 blocks of 64; a tokenizer of the scenes' words), float16 safetensors. It labels the pictogram scenes of
the demo through the same path as OpenAI's CLIP labels photographs.

It is **supervised**: every patch was asked which word it shows, by the scenes' masks (`scripts/train_clip`). It stands
in for CLIP where no hub can be reached and knows the 20 words and 8 grounds of the scenes. It says nothing about
photographs or about TagCLIP's published figures.

Labels on {count} scenes never trained on; threshold {threshold:g}, chosen on {count} others.
`python -m scripts.train_clip.evaluate --model iseg/models/tiny_clip --scenes {count}`:

{markdown(("scenes", "precision %", "recall %", "F1 %", "mAP %"), rows)}

Trained by `python -m scripts.train_clip.train --out runs/first --steps 1900`, then from that, on other scenes, by
`... --out runs/tiny_clip --init runs/first/model --seed 9103 --steps 2600`, on pictograms of Fluent Emoji (MIT) and
Noto Emoji (Apache-2.0); see iseg/models/tiny/README.md for their licences.
"""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="folder of the model")
    parser.add_argument("--scenes", type=int, default=200)
    parser.add_argument("--export", action="store_true", help="write iseg/models/tiny_clip and its card")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    try:
        settings = load_tagging("ovs/demo", model=str(options.model))
        tagger = Tagger.from_pretrained(settings, device="cpu")
        threshold = best_threshold(score_scenes(tagger, TUNING_SEED, options.scenes))
        found = measure(score_scenes(tagger, REPORT_SEED, options.scenes), threshold)
        figures = {"count": options.scenes, "threshold": threshold, "scenes": {"seen styles": found}}
        print({key: found[key] for key in ("precision", "recall", "f1", "map")}, f"threshold {threshold:g}")
        if options.export:
            TARGET.mkdir(parents=True, exist_ok=True)
            for path in options.model.iterdir():
                shutil.copy(path, TARGET / path.name)
            parameters = sum(weight.numel() for weight in tagger.model.parameters())
            write_bytes(TARGET / "README.md", card(figures, parameters).encode())
            write_json(TARGET / "figures.json", figures)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
