"""Write the example scenes with their truth: `python -m scripts.train_tiny.make_examples` fills examples/scenes.

They are of a seed of their own, which no training, choosing or testing set has, and were picked among its first 40 as
typical or good ones: the figures of the model card are over all scenes of a test set.
"""

from pathlib import Path

from PIL import Image

from scripts.train_tiny.make_set import save_mask
from scripts.train_tiny.scenes import render, scene_rng

SEED = 4
# name, number of the scene, (height, width)
EXAMPLES = (
    ("boat_bottle_cat_train", 10, (427, 640)),
    ("bus_cat", 16, (360, 480)),
    ("car_plant", 28, (360, 480)),
    ("plant_sheep", 19, (384, 384)),
)


def main(folder: Path = Path("examples/scenes")) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, number, size in EXAMPLES:
        scene = render(scene_rng(SEED, number), size)
        Image.fromarray(scene.image).save(folder / f"{name}.jpg", quality=92)
        save_mask(scene.mask, folder / f"{name}.png")
        print(f"{folder / name}.jpg: {', '.join(scene.words)}")


if __name__ == "__main__":
    main()
