"""Which step of `decide` pays on which maps: the table of docs/wsss.md.

    python -m scripts.train_student.steps --out DIR [--refine STEP[,STEP] ...]

decides the maps of DIR's training scenes (see `scripts.train_student.prepare`, which makes what is missing) anew by
every step: ideal maps (the true masks on the model's grid), those of the raw cross-attention, and iSeg's. Needs the
extra `polish`.
"""

import argparse
import json
import sys
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from iseg.data.classes import load_classes
from iseg.data.labels import present
from iseg.data.read import read_label
from iseg.errors import InputError
from iseg.evaluate import main as evaluate
from iseg.evaluate.score import markdown, percent
from iseg.files.export import write_bytes, write_scores
from iseg.polish.steps import STEPS
from scripts.train_student.prepare import prepare

GRID = 32  # cells of a side, as the embedded model has them
CLASSES = "voc20"


def ideal_scores(label: NDArray[np.uint8]) -> tuple[NDArray[np.float32], list[int]]:
    """Labels (H, W) -> scores (K, H, W) in [0, 1] of the K labels that occur, background left out, and those labels.

    Each is the share of the label in the cells of the grid, scaled up again.
    """
    height, width = label.shape
    ids = present(label)
    scores = []
    for value in ids:
        cells = cv2.resize((label == value).astype(np.float32), (GRID, GRID), interpolation=cv2.INTER_AREA)
        fine = np.asarray(cv2.resize(cells, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
        scores.append(fine / max(float(fine.max()), 1e-6))
    return np.stack(scores) if scores else np.zeros((0, height, width), np.float32), ids


def write_ideal(out: Path, truth: Path, like: Path) -> None:
    """Write OUT/NAME.npz of every image that `like` has scores of; what is there is kept."""
    names = {entry.id: entry.name for entry in load_classes(CLASSES)}
    for path in sorted(like.glob("*.npz")):
        if not (out / path.name).is_file():
            scores, ids = ideal_scores(read_label(truth / f"{path.stem}.png", len(names) + 1))
            write_scores(out / path.name, scores, [names[value] for value in ids], scores.shape[1:])


def table(out: Path, kinds: list[str]) -> str:
    """mIoU by step and by kind of maps, as Markdown."""
    found = {kind: json.loads((out / "steps" / kind / "decisions.json").read_text()) for kind in kinds}
    rows = [
        (first["name"], *(percent(found[kind][number]["miou"]) for kind in kinds))
        for number, first in enumerate(found[kinds[0]])
    ]
    return markdown(("mIoU %", *kinds), rows)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--refine", action="append", help="default: every step alone")
    options = parser.parse_args(arguments)
    out: Path = options.out
    base = out / "scenes" / "VOCdevkit" / "VOC2012"
    maps = {"ideal": out / "ideal", "raw": out / "masks/raw-cross-attention/scores", "iSeg": out / "masks/iseg/scores"}
    steps = [argument for each in options.refine or STEPS for argument in ("--refine", each)]
    try:
        prepare(out)
        write_ideal(maps["ideal"], base / "SegmentationClassAug", maps["iSeg"])
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for kind, scores in maps.items():
        where = ["--scores", scores, "--out", out / "steps" / kind, "--classes", CLASSES, "--background", "power",
                 "--images", base / "JPEGImages", "--truth", base / "SegmentationClassAug"]  # fmt: skip
        code = evaluate(["decide", *map(str, where), *steps])
        if code:
            return code
    content = table(out, list(maps))
    write_bytes(out / "steps.md", f"{content}\n".encode())
    print(content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
