"""What masks are worth once a student has learnt them: the table of docs/wsss.md.

    python -m scripts.train_student.table --out DIR [--seeds 3] [--count 800] [--kinds KIND ...] [--key value ...]

trains the student of configs/wsss/train_demo.yaml on five kinds of masks, each with several seeds, and scores every one
on fresh scenes that no label was given for. One run at a time; a second start goes on where the first ended, and the
table shows what is there. Other settings of the student: `--key value`.
"""

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

from iseg.evaluate.score import markdown
from iseg.files.export import write_bytes, write_json
from iseg.student.main import main as student
from scripts.train_student.prepare import COUNT, SEED, prepare

KINDS: dict[str, dict[str, str]] = {
    "true masks (upper bound)": {"masks": "null"},
    "iSeg": {"masks": "masks/iseg/masks"},
    "raw cross-attention": {"masks": "masks/raw-cross-attention/masks"},
    "iSeg, undecided pixels ignored": {"masks": "decided/plain/masks"},
    "iSeg, pixels weighed by confidence": {"masks": "masks/iseg/masks", "confidence": "decided/plain/confidence"},
}
BOUND = "true masks (upper bound)"


def run_folder(out: Path, kind: str, seed: int) -> Path:
    """Where a run's results are."""
    return (
        out / "students" / f"{'-'.join(kind.replace(',', '').replace('(', '').replace(')', '').lower().split())}-{seed}"
    )


def run_one(out: Path, kind: str, seed: int, more: list[str]) -> int:
    """Train one student unless it is done. Returns the exit code."""
    folder = run_folder(out, kind, seed)
    if (folder / "results.json").is_file():
        return 0
    where = [f"--{key}={value if value == 'null' else out / value}" for key, value in KINDS[kind].items()]
    where += [f"--{key}.root={out / 'scenes'}" for key in ("data", "val")]
    return student(["train", "--config", "wsss/train_demo", *where, f"--out={folder}", f"--seed={seed}", *more])


def pseudo(out: Path) -> dict[str, float | None]:
    """mIoU in per cent of the masks on the training scenes, by kind."""
    made = {row["folder"]: row["miou"] for row in json.loads((out / "masks" / "variants.json").read_text())}
    decided = json.loads((out / "decided" / "decisions.json").read_text())[0]
    values = {
        BOUND: 1.0,
        "iSeg": made["iseg"],
        "raw cross-attention": made["raw-cross-attention"],
        "iSeg, undecided pixels ignored": decided["miou_decided"],
        "iSeg, pixels weighed by confidence": made["iseg"],
    }
    return {kind: None if value is None else 100 * value for kind, value in values.items()}


def table(out: Path, seeds: int) -> list[dict[str, Any]]:
    """One row per kind of masks: what is there of its runs."""
    masks = pseudo(out)
    rows: list[dict[str, Any]] = []
    for kind in KINDS:
        paths = [run_folder(out, kind, seed) / "results.json" for seed in range(seeds)]
        scores = [100 * json.loads(path.read_text())["miou"] for path in paths if path.is_file()]
        mean = statistics.mean(scores) if scores else None
        spread = statistics.stdev(scores) if len(scores) > 1 else None
        rows.append(
            {"masks": kind, "masks_miou": masks[kind], "student_miou": scores, "mean": mean, "deviation": spread}
        )
    bound = rows[0]["mean"]
    for row in rows:
        row["of_bound"] = 100 * row["mean"] / bound if bound and row["mean"] is not None else None
    return rows


def shown(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown."""
    cells = [
        (
            row["masks"],
            number(row["masks_miou"]),
            f"{number(row['mean'])} ± {number(row['deviation'])}",
            str(len(row["student_miou"])),
            number(row["of_bound"]),
        )
        for row in rows
    ]
    header = ("learnt from", "mIoU % of the masks", "mIoU % of the student", "seeds", "% of the upper bound")
    return markdown(header, cells)


def number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--count", type=int, default=COUNT, help="scenes, the last 400 of them to score on")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), help="only some kinds of masks")
    options, more = parser.parse_known_args(arguments)
    prepare(options.out, options.count, SEED)
    for seed in range(options.seeds):  # a whole column first, so that a run that is cut leaves a table
        for kind in options.kinds:
            code = run_one(options.out, kind, seed, more)
            if code:
                return code
            rows = table(options.out, options.seeds)
            write_json(options.out / "students.json", rows)
            write_bytes(options.out / "students.md", shown(rows).encode() + b"\n")
    print(shown(table(options.out, options.seeds)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
