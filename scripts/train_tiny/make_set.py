"""Write a data set of scenes in VOC's layout.

    python -m scripts.train_tiny.make_set --out DIR --count 40 --seed 7 [--size 500x375] [--style seen]

makes JPEGImages, SegmentationClassAug and ImageSets/Segmentation in DIR/VOCdevkit/VOC2012: the first half is `train`,
the rest `val`. Scenes are decided by the seed and their number alone. Without --size, sizes vary; most are not
square.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from iseg.errors import InputError
from scripts.train_tiny.scenes import render, scene_rng

SIZES = ((375, 500), (500, 375), (333, 500), (480, 640), (256, 256), (300, 400))


def voc_palette() -> list[int]:
    """VOC's 256 colours as a flat list: the bits of the index spread over red, green and blue, highest first."""
    bits = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little")
    weights = 1 << np.arange(7, -1, -1)
    channels = [np.pad(bits[:, c::3], ((0, 0), (0, 8 - bits[:, c::3].shape[1]))) @ weights for c in range(3)]
    return [int(value) for value in np.stack(channels, axis=1).reshape(-1)]


def save_mask(mask: np.ndarray, path: Path) -> None:
    """Write a label map (H, W) uint8 as an indexed PNG with VOC's palette."""
    picture = Image.fromarray(mask)
    picture.putpalette(voc_palette())
    picture.save(path)


def parse_size(text: str) -> tuple[int, int]:
    """`WxH` in pixels -> (height, width)."""
    try:
        width, height = (int(part) for part in text.lower().split("x"))
    except ValueError:
        raise InputError(f"size {text!r}: expected WIDTHxHEIGHT, for example 500x375") from None
    if min(width, height) < 32:
        raise InputError(f"size {text!r}: expected at least 32x32")
    return height, width


def make_set(out: Path, count: int, seed: int, size: tuple[int, int] | None = None, style: str = "seen") -> list[str]:
    """Write `count` scenes under `out`; returns their names. `size` is (height, width), None for varied sizes."""
    if count < 2:
        raise InputError(f"count {count}: expected at least 2, one for train and one for val")
    root = out / "VOCdevkit" / "VOC2012"
    images, masks, lists = root / "JPEGImages", root / "SegmentationClassAug", root / "ImageSets" / "Segmentation"
    for folder in (images, masks, lists):
        folder.mkdir(parents=True, exist_ok=True)
    names = []
    for index in tqdm(range(count), desc="scenes", disable=None):
        rng = scene_rng(seed, index)
        scene = render(rng, size or SIZES[int(rng.integers(len(SIZES)))], style)
        name = f"scene_{seed}_{index:05d}"
        Image.fromarray(scene.image).save(images / f"{name}.jpg", quality=92)
        save_mask(scene.mask, masks / f"{name}.png")
        names.append(name)
    (lists / "train.txt").write_text("\n".join(names[: count // 2]) + "\n")
    (lists / "val.txt").write_text("\n".join(names[count // 2 :]) + "\n")
    return names


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--size", default=None, help="WIDTHxHEIGHT in pixels; varied when not given")
    parser.add_argument("--style", default="seen", help="seen, fluent, fluent-flat, noto, noto-v1 or openmoji")
    options = parser.parse_args(arguments)
    try:
        size = parse_size(options.size) if options.size else None
        names = make_set(options.out, options.count, options.seed, size, options.style)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{len(names)} scenes in {options.out / 'VOCdevkit' / 'VOC2012'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
