"""Which looks at the picture are best for joined maps: the demo's settings with others, on the scenes of `choose`.

    python -m scripts.clip_maps.choose_views 384 384,flip 384,320,flip [--scenes 100] [--out runs/clip_maps]

Prints the figures and writes OUT/views.json.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from iseg import ISeg
from iseg.clip_maps import load_clip_maps
from iseg.clip_maps.joined import find_joined
from iseg.clip_maps.source import ClipSource
from iseg.errors import InputError
from iseg.evaluate.score import markdown, percent
from iseg.files.export import write_json
from iseg.state import ImageState
from scripts.clip_maps.choose import SEED, Figures, scene_of
from scripts.train_clip.data import class_names


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("views", nargs="+", help="as clip_maps.views, one row each")
    parser.add_argument("--scenes", type=int, default=100)
    parser.add_argument("--out", type=Path, default=Path("runs/clip_maps"))
    options = parser.parse_args(arguments)
    try:
        choose_views(options.scenes, options.out, options.views)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def choose_views(scenes: int, out: Path, views: list[str]) -> None:
    """Measure the settings with other looks at the picture, print the figures, and write them."""
    settings, names = load_clip_maps("ovs/demo"), class_names()
    seg, source = ISeg.from_pretrained("tiny", device="cpu"), ClipSource.from_pretrained(settings, device="cpu")
    sums = {each: Figures() for each in views}
    for index in tqdm(range(scenes), desc="views", disable=None):
        scene = scene_of(index)
        coarse, state = source.maps(scene.image, names), ImageState(scene.image)
        for each, figures in sums.items():
            chosen = replace(settings, views=each)
            found = find_joined(seg, state, coarse, names, chosen, seg.recipe, list(range(1, 21)))
            figures.add(scene.mask, [names.index(word) for word in scene.words], found.result.mask, found.alive)
    rows = {each: figures.shares() for each, figures in sums.items()}
    write_json(out / "views.json", {"scenes": scenes, "seed": SEED, "views": rows})
    keys = ("precision", "recall", "miou")
    table = [(each, *(percent(row[key]) for key in keys)) for each, row in rows.items()]
    print(markdown(("views", "precision %", "recall %", "mIoU %"), table))


if __name__ == "__main__":
    sys.exit(main())
