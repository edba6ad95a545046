"""Scenes for the student's demo: one or two objects of eight words, drawn in one style, in VOC's layout."""

from pathlib import Path

from PIL import Image
from tqdm import tqdm

from iseg.errors import InputError
from iseg.files.export import write_bytes, write_mask
from scripts.train_tiny.make_set import STAMP, fingerprint
from scripts.train_tiny.scenes import Scene, render, scene_rng

SIZE, STYLE, MOST_OBJECTS = (192, 256), "fluent-flat", 2  # (height, width)
MOST_VAL = 400  # scenes: scoring takes time, too
WORDS = {"bird", "boat", "bus", "cat", "plane", "potted plant", "sheep", "train"}


def make_scenes(out: Path, count: int, seed: int) -> None:
    """Write `count` scenes below OUT/VOCdevkit/VOC2012 unless they are there.

    The last 400 are val, of fewer than 800 the second half; the others are train.
    """
    if count < 2:
        raise InputError(f"count {count}: expected at least 2, one for train and one for val")
    root = out / "VOCdevkit" / "VOC2012"
    stamp = f"{fingerprint(seed, SIZE, STYLE)} {count} {sorted(WORDS)} {MOST_OBJECTS}\n"
    if (out / STAMP).is_file():
        if (out / STAMP).read_text() == stamp:
            return
        raise InputError(f"{out} holds other scenes: give another --out, or remove it")
    names = [f"student_{seed}_{number:05d}" for number in range(count)]
    for number, name in enumerate(tqdm(names, desc="scenes", disable=None)):
        scene = one_scene(seed, number)
        (root / "JPEGImages").mkdir(parents=True, exist_ok=True)
        Image.fromarray(scene.image).save(root / "JPEGImages" / f"{name}.jpg", quality=92)
        write_mask(root / "SegmentationClassAug" / f"{name}.png", scene.mask)
    learnt = max(count // 2, count - MOST_VAL)
    for split, part in (("train", names[:learnt]), ("val", names[learnt:])):
        write_bytes(root / "ImageSets" / "Segmentation" / f"{split}.txt", ("\n".join(part) + "\n").encode())
    write_bytes(out / STAMP, stamp.encode())


def one_scene(seed: int, number: int) -> Scene:
    """The first scene of a generator of its own that shows no other words."""
    rng = scene_rng(seed, number)
    while True:
        scene = render(rng, SIZE, STYLE, max_objects=MOST_OBJECTS)
        if set(scene.words) <= WORDS:
            return scene
