"""How well the page tells which words are in an image: precision and recall over pictogram scenes.

    python -m scripts.bench.presence --out DIR [--count 60] [--seed 23]

Makes scenes with `scripts.train_tiny.make_set` (a seed that no training used), asks for each word of the embedded model
whether each scene holds it, and compares with the scene's label map. Prints one line and JSON.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from iseg.backbones.table import load_row
from iseg.data.classes import load_classes
from iseg.page.sureness import BESIDE, Sureness
from scripts.train_tiny.make_set import make_set


def main() -> None:
    """Make the scenes, ask, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--seed", type=int, default=23)
    asked = parser.parse_args()
    names = make_set(asked.out, asked.count, asked.seed)
    root = asked.out / "VOCdevkit" / "VOC2012"
    row, sureness = load_row("tiny"), Sureness()
    ids = {entry.word.word: entry.id for entry in load_classes(BESIDE)}
    words = [word for word in row.words or [] if word in ids]
    right = said = there = 0
    for name in tqdm(names, disable=None):
        image = np.array(Image.open(root / "JPEGImages" / f"{name}.jpg"))
        held = set(np.array(Image.open(root / "SegmentationClassAug" / f"{name}.png")).flatten().tolist())
        found = sureness.found(image, words, row, "cpu") or []
        for word, is_found in zip(words, found, strict=True):
            right += is_found and ids[word] in held
            said += is_found
            there += ids[word] in held
    figures = {
        "scenes": len(names), "words": len(words), "present": there, "found": said, "right": right,
        "precision": round(right / max(1, said), 3), "recall": round(right / max(1, there), 3),
    }  # fmt: skip
    print(f"precision {figures['precision']}, recall {figures['recall']} over {len(names)} scenes, {len(words)} words")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
