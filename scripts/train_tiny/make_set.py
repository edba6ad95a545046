"""Write a data set of scenes in VOC's layout.

    python -m scripts.train_tiny.make_set --out DIR --count 40 --seed 7 [--size 500x375] [--style seen]

makes JPEGImages, SegmentationClassAug and ImageSets/Segmentation in DIR/VOCdevkit/VOC2012: the first half is `train`,
the rest `val`. Scenes are decided by the seed and their number alone. Without --size, sizes vary; most are not
square.

DIR/stamp.txt says how the set was made. A set that would come out the same is kept; one of another seed, renderer or
stock of pictograms is made again. Names carry the fingerprint, so that masks or labels kept for the scenes of one
renderer are never taken for those of another.
"""

import argparse
import hashlib
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from iseg.errors import InputError
from iseg.files.export import write_bytes
from scripts.train_tiny import sprites
from scripts.train_tiny.scenes import render, scene_rng

RENDERER = ("make_set.py", "scenes.py", "backgrounds.py", "sprites.py", "draw.py", "words.yaml")
STAMP = "stamp.txt"
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
    """Write `count` scenes under `out`, unless they are there; returns their names.

    size: (height, width) in pixels, None for varied sizes. Scenes of a set made differently are removed.
    """
    if count < 2:
        raise InputError(f"count {count}: expected at least 2, one for train and one for val")
    sprites.load_sprites(style)  # a style that cannot be had is found before an earlier set is touched
    root = out / "VOCdevkit" / "VOC2012"
    images, masks, lists = root / "JPEGImages", root / "SegmentationClassAug", root / "ImageSets" / "Segmentation"
    made = fingerprint(seed, size, style)
    names = [f"scene_{seed}_{made}_{index:05d}" for index in range(count)]
    stamp = f"{made} {count}\n"
    files = [lists / "train.txt", lists / "val.txt", *(images / f"{name}.jpg" for name in names)]
    files += [masks / f"{name}.png" for name in names]
    if (out / STAMP).is_file() and (out / STAMP).read_text() == stamp and all(path.is_file() for path in files):
        return names
    (out / STAMP).unlink(missing_ok=True)  # comes back when all is written: a set left half-made is not kept
    for folder in (images, masks, lists):
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.glob("scene_*"):
            path.unlink()
    for index, name in enumerate(tqdm(names, desc="scenes", disable=None)):
        rng = scene_rng(seed, index)
        scene = render(rng, size or SIZES[int(rng.integers(len(SIZES)))], style)
        Image.fromarray(scene.image).save(images / f"{name}.jpg", quality=92)
        save_mask(scene.mask, masks / f"{name}.png")
    (lists / "train.txt").write_text("\n".join(names[: count // 2]) + "\n")
    (lists / "val.txt").write_text("\n".join(names[count // 2 :]) + "\n")
    write_bytes(out / STAMP, stamp.encode())
    return names


def fingerprint(seed: int, size: tuple[int, int] | None, style: str) -> str:
    """Eight hex digits of all that decides the scenes of a set: its settings, the renderer, the pictograms."""
    total = hashlib.sha256(repr((seed, size, style)).encode())
    folder = sprites.OPENMOJI_FOLDER if style == "openmoji" else sprites.PICTOGRAM_FOLDER
    files = {name: sprites.HERE / name for name in RENDERER}
    files |= {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*.webp"))}
    for name, path in files.items():
        content = path.read_bytes()
        total.update(f"{name} {len(content)}\n".encode() + content)
    return total.hexdigest()[:8]


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
    except (InputError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{len(names)} scenes in {options.out / 'VOCdevkit' / 'VOC2012'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
