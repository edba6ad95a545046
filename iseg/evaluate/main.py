"""The two jobs: run (masks, then scores) and score (from saved masks)."""

import argparse
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from accelerate import PartialState
from accelerate.utils import gather_object

from iseg.data import open_items
from iseg.data.classes import LabelClass, load_classes
from iseg.data.items import Item
from iseg.data.labels import read_labels
from iseg.data.layout import read_names
from iseg.errors import InputError
from iseg.evaluate import outputs
from iseg.evaluate.config import Evaluation, Variant, computed, load_evaluation, variants
from iseg.evaluate.outputs import Outputs
from iseg.evaluate.run import Outcome, Runner
from iseg.evaluate.score import markdown, percent, save_summary, score_masks, table, write_csv
from iseg.files.export import write_json
from iseg.pipeline import ISeg

WAIT = timedelta(days=30)  # a process that is done early waits for the others
SHOWN_FAILURES = 10
BAD_INPUT, FAILED_IMAGES = 2, 1  # exit codes


def main(arguments: Sequence[str], prog: str = "python -m iseg.evaluate") -> int:
    """Run `run ...` or `score ...` and return the exit code: 0, 1 if single images failed, 2 for unusable input."""
    jobs = {"run": run_command, "score": score_command}
    if not arguments or arguments[0] not in jobs:
        print(f"usage: {prog} run --config FILE [--key value ...]\n"
              f"       {prog} score --masks FOLDER --truth FOLDER [--classes voc20] [--names FILE] [--out FOLDER]\n"
              "--help after run or score lists every setting", file=sys.stderr)  # fmt: skip
        return 0 if set(arguments) & {"-h", "--help"} else BAD_INPUT
    try:
        return jobs[arguments[0]](list(arguments[1:]), f"{prog} {arguments[0]}")
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT


def run_command(arguments: list[str], prog: str) -> int:
    """`run`: see `Evaluation` for the settings."""
    code = evaluate(load_evaluation(arguments, prog))
    PartialState().destroy_process_group()
    return code


def evaluate(evaluation: Evaluation) -> int:
    """Make the masks that are missing, then score them all. Returns the exit code.

    Under `accelerate launch` the batches are dealt to the processes in turn; process 0 prints and scores.

    Raises InputError for settings, data, model or output folder that cannot be used; single images that cannot are
    recorded, and the rest goes on.
    """
    data = evaluation.data
    classes = load_classes(data.classes)
    labels = read_labels(Path(data.labels), classes) if data.labels else None
    items = open_items(data.kind, data.split, data.root, data.truth)[: evaluation.limit]
    state = PartialState(cpu=evaluation.device == "cpu", timeout=WAIT)
    say = print if state.is_main_process else _silent
    device = str(state.device) if evaluation.device == "auto" else evaluation.device
    opened = open_outputs(evaluation, classes, device)
    done = sum(all(folder.finished(item.name) for _, folder in opened) for item in items)
    if done:
        say(f"{done} of {len(items)} images were segmented before with the same configuration: they are kept")
    outcome = Outcome()
    if done < len(items):
        seg = ISeg.from_pretrained(
            evaluation.model, evaluation.recipe, device, evaluation.dtype, evaluation.backbone, evaluation.vae
        )
        runner = Runner(seg, classes, labels, opened, evaluation.readers)
        step = evaluation.batch_size
        batches = [items[start : start + step] for start in range(0, len(items), step)]
        outcome = runner.run(batches[state.process_index :: state.num_processes], show=state.is_main_process)
    outcome = merge(gather_object([outcome]))  # also waits until every process is done
    code = report(evaluation, items, classes, opened, outcome) if state.is_main_process else 0
    state.wait_for_everyone()
    return code


def _silent(*_: Any) -> None:
    """Only process 0 speaks."""


def open_outputs(evaluation: Evaluation, classes: list[LabelClass], device: str) -> list[tuple[Variant, Outputs]]:
    """The folder of every variant, made or taken up. InputError if one holds masks of other settings."""
    dtype = outputs.precision(evaluation.model, evaluation.backbone, evaluation.dtype, device)
    inputs: dict[str, Any] = {
        "dtype": dtype,
        outputs.WEIGHTS: outputs.weights_digest(evaluation.model, evaluation.backbone, dtype),
        "class_words": [[entry.name, entry.word.word, entry.word.focus] for entry in classes],
    }
    if evaluation.data.labels:
        inputs["labels_sha256"] = outputs.digest(Path(evaluation.data.labels))
    how: dict[str, Any] = {key: getattr(evaluation, key) for key in ("device", "batch_size", "readers", "limit", "out")}
    how |= {key: getattr(evaluation.data, key) for key in ("root", "classes", "labels")}
    opened = []
    for variant in variants(evaluation):
        folder = Outputs(Path(evaluation.out) / variant.folder, evaluation.save_scores)
        folder.open({**computed(evaluation, variant.recipe), **inputs}, how)
        opened.append((variant, folder))
    return opened


def merge(outcomes: Sequence[Outcome]) -> Outcome:
    """The outcomes of all processes as one."""
    total = Outcome()
    for outcome in outcomes:
        total.failures |= outcome.failures
        total.skipped += outcome.skipped
        total.stopped = total.stopped or outcome.stopped
    return total


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


def score_command(arguments: list[str], prog: str) -> int:
    """`score`: saved masks against truth masks of the same names."""
    parser = argparse.ArgumentParser(prog=prog, description="Score saved masks.", allow_abbrev=False)
    parser.add_argument("--masks", type=Path, required=True, help="folder of NAME.png label masks")
    parser.add_argument("--truth", type=Path, required=True, help="folder of NAME.png truth masks, 255 = ignore")
    parser.add_argument("--classes", default="voc20", help="class file: voc20, coco80, context59 or a path")
    parser.add_argument("--names", type=Path, help="list of names (one per line) that must all be there; default: "
                        "whatever masks there are")  # fmt: skip
    parser.add_argument("--out", type=Path, help="folder of results.json and results.csv; default: beside the masks")
    settings = parser.parse_args(arguments)
    for folder in (settings.masks, settings.truth):
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder: expected a folder of label PNGs")
    names = read_names(settings.names) if settings.names else sorted(path.stem for path in settings.masks.glob("*.png"))
    if not names:
        raise InputError(f"{settings.masks}: holds no PNG mask")
    classes = load_classes(settings.classes)
    items = [Item(name, settings.masks / f"{name}.png", settings.truth / f"{name}.png") for name in names]
    score = score_masks(settings.masks, items, len(classes) + 1)
    summary = score.summary(classes)
    save_summary(summary, settings.out or settings.masks.parent)
    print(table(summary))
    print(f"{score.images} images; results: {settings.out or settings.masks.parent}")
    if score.skipped:
        print(f"{len(score.skipped)} images hold background only and have no mask: skipped")
    return sum_up(score.failures, len(names))
