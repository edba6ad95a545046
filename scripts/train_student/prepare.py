"""The scenes of the student's demo and their masks: by iSeg, of the raw maps, and by iSeg with a band left undecided.

    python -m scripts.train_student.prepare --out DIR [--count 800] [--seed 17]

makes DIR/scenes (the last 400 are val, which no mask is made of), DIR/masks/{iseg,raw-cross-attention} by
configs/wsss/train_demo_masks.yaml and DIR/decided/plain by `decide --ignore`. What is there is kept.
"""

import argparse
import sys
from pathlib import Path

from iseg.errors import InputError
from iseg.evaluate import main as evaluate
from scripts.train_student.scenes import make_scenes

COUNT, SEED = 800, 17
MARGIN = "0.25"  # pixels whose best two of background and classes are closer stay undecided


def prepare(out: Path, count: int = COUNT, seed: int = SEED) -> None:
    """Make what is missing. Raises InputError where a step fails."""
    scenes, masks = out / "scenes", out / "masks"
    make_scenes(scenes, count, seed)
    run = ["run", "--config", "wsss/train_demo_masks", "--data.root", str(scenes), "--out", str(masks)]
    truth = scenes / "VOCdevkit" / "VOC2012" / "SegmentationClassAug"
    decide = ["decide", "--scores", str(masks / "iseg" / "scores"), "--out", str(out / "decided"), "--ignore", MARGIN,
              "--truth", str(truth)]  # fmt: skip
    for done, job in ((masks / "variants.json", run), (out / "decided" / "decisions.json", decide)):
        if not done.is_file() and evaluate(job):
            raise InputError(f"{' '.join(job[:1])} failed: see above")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args(arguments)
    try:
        prepare(options.out, options.count, options.seed)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
