"""`decide`: masks from saved scores, without the model: thresholds, a band left out, steps that follow the picture."""

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from iseg.data.classes import ids_by_name, load_classes
from iseg.errors import InputError, echo
from iseg.evaluate.decide_images import Decision, Row, decide_all
from iseg.evaluate.report import sum_up
from iseg.evaluate.score import markdown, percent, write_csv
from iseg.files.claim import claim
from iseg.files.export import write_json
from iseg.masks import Background
from iseg.polish.decision import parse_band
from iseg.polish.steps import STEPS, check_steps
from iseg.settings import read_yaml

PLAIN = "plain"


def decide_command(arguments: list[str], prog: str) -> int:
    """`decide`: see `--help`. Returns the exit code: 0, or 1 if single images failed."""
    decision, threads = read_arguments(arguments, prog)
    names = sorted(path.stem for path in decision.scores.glob("*.npz"))
    if not names:
        raise InputError(f"{decision.scores}: holds no NAME.npz: expected the scores of a run with --save_scores true")
    computed = {
        "background": decision.background,
        "rows": {
            row.name: {"steps": list(row.steps), "ignore": row.band and asdict(row.band)} for row in decision.rows
        },
    }
    how = {"scores": str(decision.scores)}

    def results() -> int:
        return sum(1 for _ in decision.out.glob("*/masks/*.png"))

    lock, _ = claim(decision.out / "config.yaml", computed, how, results, "masks")
    with lock:
        failures = decide_all(decision, names, threads)
        report(decision, len(names) - len(failures))
    return sum_up(failures, len(names))


def read_arguments(arguments: list[str], prog: str) -> tuple[Decision, int]:
    """What is asked, and the threads. Raises InputError for what cannot be used."""
    parser = argparse.ArgumentParser(prog=prog, description="Decide saved scores again.", allow_abbrev=False)
    parser.add_argument(
        "--scores", type=Path, required=True, help="folder of NAME.npz that a run with save_scores left"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the results, one folder per row")
    parser.add_argument("--background", help='"power" or a threshold in 0..1; default: that of the run')
    parser.add_argument("--ignore", help="LOW,HIGH: pixels whose best score lies between become 255; of the power rule "
                        "and of polished scores MARGIN: those whose best two are closer")  # fmt: skip
    parser.add_argument("--refine", action="append", default=[], metavar="STEP[,STEP]",
                        help=f"steps in their order, one more row; may be repeated: {', '.join(STEPS)}")  # fmt: skip
    parser.add_argument("--images", type=Path, help="folder of the pictures, which the steps look at")
    parser.add_argument("--truth", type=Path, help="folder of true NAME.png, to score against")
    parser.add_argument("--classes", default="voc20", help="class file: voc20, coco80, context59 or a path")
    parser.add_argument("--threads", type=int, default=2, help="images at once")
    given = parser.parse_args(arguments)
    for name in ("scores", "images", "truth"):
        folder = getattr(given, name)
        if folder is not None and not folder.is_dir():
            raise InputError(f"{folder}: no such folder: expected one of {name}")
    if given.refine and given.images is None:
        raise InputError("refine looks at the pictures: give --images FOLDER")
    if given.threads < 1:
        raise InputError(f"threads is {given.threads}: expected at least 1")
    recipe = run_recipe(given.scores)
    background = parse_background(recipe.get("background", "power") if given.background is None else given.background)
    rows = make_rows(given.refine, given.ignore, background)
    ids = ids_by_name(load_classes(given.classes))
    rescale = recipe.get("working_size", 512) is not None
    return Decision(given.scores, given.out, given.images, given.truth, ids, background, rescale, rows), given.threads


def run_recipe(scores: Path) -> dict[str, Any]:
    """The recipe of the run that left the scores; {} where its settings do not lie beside them."""
    path = scores.parent / "config.yaml"
    return (read_yaml(path).get("computed") or {}).get("recipe") or {} if path.is_file() else {}


def parse_background(value: Any) -> Background:
    """ "power" or a number in [0, 1]. Raises InputError for anything else."""
    if value == "power":
        return "power"
    try:
        threshold = float(value)
    except (TypeError, ValueError):
        threshold = -1.0
    if not 0 <= threshold <= 1:
        raise InputError(f"background is {echo(value)}: expected power or a threshold in 0..1")
    return threshold


def make_rows(refine: Sequence[str], ignore: str | None, background: Background) -> list[Row]:
    """The plain decision first, then one row for each list of steps."""
    rows = []
    for text in ["", *refine]:
        steps = tuple(part.strip() for part in text.split(",")) if text else ()
        check_steps(steps)
        # a band of scores says nothing about polished ones: those rows are told so, the plain one takes either
        band = None if ignore is None else parse_band(ignore, background, bool(steps))
        rows.append(Row(", ".join(steps) or PLAIN, "-".join(steps) or PLAIN, steps, band))
    twice = [row.name for row in rows if sum(other.name == row.name for other in rows) > 1]
    if twice:
        raise InputError(f"refine {twice[0]} was given twice: expected different steps")
    return rows


def report(decision: Decision, images: int) -> None:
    """Print the table and write OUT/decisions.json and OUT/decisions.csv."""
    rows: list[dict[str, Any]] = []
    for row in decision.rows:
        total = decision.totals[row.name]
        known = decision.truth is not None and total.pixels
        rows.append({
            "name": row.name,
            "folder": row.folder,
            "images": images,
            "miou": total.all.mean_iou() if known else None,
            "pixel_accuracy": total.all.pixel_accuracy() if known else None,
            "undecided": total.undecided / max(1, total.pixels),
            "miou_decided": total.kept.mean_iou() if known and total.undecided < total.pixels else None,
        })  # fmt: skip
    write_json(decision.out / "decisions.json", rows)
    write_csv(decision.out / "decisions.csv", list(rows[0]), [list(row.values()) for row in rows])
    keys = ("miou", "pixel_accuracy", "undecided", "miou_decided")
    print(markdown(("decision", "mIoU %", "pixel accuracy %", "undecided %", "mIoU % of the decided pixels"),
                   [(row["name"], *(percent(row[key]) for key in keys)) for row in rows]))  # fmt: skip
    print(f"results: {decision.out}")
