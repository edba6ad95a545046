"""What a run tells at its end: scores of every variant, and the images that failed."""

import sys
from pathlib import Path
from typing import Any

from iseg.data.classes import LabelClass
from iseg.data.items import Item
from iseg.evaluate.config import Evaluation, Variant
from iseg.evaluate.loading import Outcome
from iseg.evaluate.outputs import Outputs
from iseg.evaluate.score import markdown, percent, save_summary, score_masks, table, write_csv
from iseg.files.export import write_json

SHOWN_FAILURES = 10
FAILED_IMAGES = 1  # exit code


def report(
    evaluation: Evaluation,
    items: list[Item],
    classes: list[LabelClass],
    opened: list[tuple[Variant, Outputs]],
    outcome: Outcome,
) -> int:
    """Score what was saved, write and print the results of every variant, sum up failures. Returns the exit code."""
    lost = {*outcome.failures, *outcome.skipped}
    kept = [item for item in items if item.name not in lost]
    failures = dict(outcome.failures)
    rows = []
    for variant, folder in opened:
        folder.sweep_up()
        if any(item.label is None for item in kept):
            print(f"masks of {len(kept)} images: {folder.folder / 'masks'} (no truth: not scored)")
            continue
        score = score_masks(folder.folder / "masks", kept, len(classes) + 1, evaluation.readers)
        failures |= score.failures
        score.failures, score.skipped = outcome.failures | score.failures, outcome.skipped + score.skipped
        summary = score.summary(classes)
        save_summary(summary, folder.folder)
        rows.append({"name": variant.name, "folder": variant.folder, **summary})
    if evaluation.variants or evaluation.sweep:
        report_variants(rows, Path(evaluation.out))
    elif rows:
        print(table(rows[0]))
    print(f"results: {evaluation.out}")
    if outcome.skipped:
        print(f"{len(outcome.skipped)} of {len(items)} images hold background only: skipped")
    return sum_up(failures, len(items), outcome.stopped)


def report_variants(rows: list[dict[str, Any]], out: Path) -> None:
    """Print one line per variant and write OUT/variants.json and OUT/variants.csv."""
    means = ("miou", "pixel_accuracy", "mean_accuracy")
    print(markdown(("variant", "mIoU %", "pixel accuracy %", "mean accuracy %"),
                   [(row["name"], *(percent(row[key]) for key in means)) for row in rows]))  # fmt: skip
    kept = [{key: row[key] for key in ("name", "folder", "images", *means)} for row in rows]
    write_json(out / "variants.json", kept)
    write_csv(out / "variants.csv", ["name", "folder", "images", *means], [list(row.values()) for row in kept])


def sum_up(failures: dict[str, str], total: int, stopped: str | None = None) -> int:
    """Name the images that failed on stderr. Returns the exit code."""
    if failures:
        print(f"{len(failures)} of {total} images failed:", file=sys.stderr)
        for name in sorted(failures)[:SHOWN_FAILURES]:
            print(f"  {name}: {failures[name]}", file=sys.stderr)
        if len(failures) > SHOWN_FAILURES:
            print(f"  and {len(failures) - SHOWN_FAILURES} more, all in results.json", file=sys.stderr)
    if stopped:
        print(f"error: {stopped}", file=sys.stderr)
    return FAILED_IMAGES if failures else 0
