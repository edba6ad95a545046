"""The main job on the example scenes: `iseg segment` with the embedded model, and the score of its masks."""

import argparse
import json
import shlex
from pathlib import Path

import numpy as np
from PIL import Image

from iseg.cli import main as iseg
from iseg.data.classes import ids_by_name, load_classes
from iseg.evaluate.metrics import ConfusionMatrix

ROOT = Path(__file__).parent.parent
SCENES = ROOT / "examples" / "scenes"
KINDS = "mask,overlay,cutout,panel,animation"


def main() -> int:
    """Segment every scene by the words of what its truth mask holds; print and save the scores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "demo-results", help="folder of the results")
    out = parser.parse_args().out
    classes = load_classes("voc20")
    total, scores = ConfusionMatrix(len(classes) + 1), {}
    for path in sorted(SCENES.glob("*.jpg")):
        truth = np.asarray(Image.open(path.with_suffix(".png")))
        words = [entry.word.word for entry in classes if (truth == entry.id).any()]
        shown = ["iseg", "segment", str(path.relative_to(ROOT)), "--classes", "; ".join(words), "--model", "tiny"]
        print("$", shlex.join([*shown, "--save", KINDS]), flush=True)
        code = iseg(["segment", str(path), *shown[3:], "--save", KINDS, "--out", str(out)])
        if code:
            return code
        own = ConfusionMatrix(len(classes) + 1)
        own.update(truth, labels_of_the_data_set(out / path.stem, ids_by_name(classes)))
        total += own
        scores[path.stem] = round(100 * own.mean_iou(), 1)
    scores["all scenes"] = round(100 * total.mean_iou(), 1)
    (out / "scores.json").write_text(json.dumps(scores, indent=2) + "\n", encoding="utf-8")
    print("\nmIoU in %, objects and background:")
    for name, value in scores.items():
        print(f"  {name:<20}{value:5.1f}")
    print(f"\nMasks, overlays, cut-outs, panels and animations are in {out}; open {out / f'{path.stem}.panel.png'}")
    return 0


def labels_of_the_data_set(result: Path, ids: dict[str, int]) -> np.ndarray:
    """The saved mask (0, 1, 2, ... in the order of the classes asked for) with the labels of the data set."""
    named = json.loads(result.with_name(f"{result.name}.json").read_text(encoding="utf-8"))["classes"]
    table = np.array([0, *(ids[entry["name"]] for entry in named)], np.uint8)
    return table[np.asarray(Image.open(result.with_name(f"{result.name}.png")))]


if __name__ == "__main__":
    raise SystemExit(main())
