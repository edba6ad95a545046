"""Write scenes whose truth names every pixel: objects and grounds, for regions without words.

    python -m scripts.train_tiny.make_ground_set --out DIR --count 100 --seed 22 [--style seen]

makes DIR/images/NAME.jpg and DIR/labels/NAME.png: labels 0..27 in the order of configs/classes/scenes28.yaml (twenty
words, then eight grounds), 255 for clutter, which belongs to no class. Sizes vary; most are not square.

Scenes are decided by the seed and their number alone. A set that is there whole is kept; names carry the renderer's
fingerprint, so that a set of another renderer is made anew.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from iseg.errors import InputError
from iseg.files.export import write_mask
from scripts.train_tiny.backgrounds import CLUTTER, COLOURS
from scripts.train_tiny.make_set import SIZES, fingerprint
from scripts.train_tiny.scenes import Scene, render, scene_rng

WORDS = 20  # labels of the grounds follow those of the words


def ground_truth(scene: Scene) -> np.ndarray:
    """Labels (H, W) uint8 of a rendered scene: word k of VOC's order is k, ground g is 20 + g, clutter 255."""
    if scene.parts is None:
        raise ValueError("this scene did not keep its grounds: expected one of scenes.render")
    names = list(COLOURS)
    labels = np.full(256, CLUTTER, np.uint8)
    for index, ground in enumerate(scene.grounds):
        labels[index] = WORDS + names.index(ground)
    return np.where(scene.mask > 0, scene.mask - 1, labels[scene.parts]).astype(np.uint8)


def make_ground_set(out: Path, count: int, seed: int, style: str = "seen") -> list[str]:
    """Write `count` scenes under `out`, unless they are there; returns their names. Other scenes are removed."""
    if count < 1:
        raise InputError(f"count {count}: expected at least 1")
    made = fingerprint(seed, None, style)
    names = [f"scene_{seed}_{made}_{index:05d}" for index in range(count)]
    images, labels = out / "images", out / "labels"
    expected = {images / f"{name}.jpg" for name in names} | {labels / f"{name}.png" for name in names}
    found = {path for folder in (images, labels) for path in folder.glob("scene_*")}
    if found == expected:
        return names
    for path in found:
        path.unlink()
    images.mkdir(parents=True, exist_ok=True)
    for index, name in enumerate(tqdm(names, desc="scenes", disable=None)):
        rng = scene_rng(seed, index)
        scene = render(rng, SIZES[int(rng.integers(len(SIZES)))], style)
        Image.fromarray(scene.image).save(images / f"{name}.jpg", quality=92)
        write_mask(labels / f"{name}.png", ground_truth(scene))
    return names


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--style", default="seen", help="seen, fluent, fluent-flat, noto, noto-v1 or openmoji")
    options = parser.parse_args(arguments)
    try:
        names = make_ground_set(options.out, options.count, options.seed, options.style)
    except (InputError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{len(names)} scenes in {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
