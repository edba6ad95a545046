"""The jobs: run (masks, then scores), score (from saved masks) and decide (masks again, from saved scores)."""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from accelerate import PartialState

from iseg.data.classes import load_classes
from iseg.data.items import Item
from iseg.data.layout import read_names
from iseg.errors import InputError, printable
from iseg.evaluate.decide import decide_command
from iseg.evaluate.job import evaluate
from iseg.evaluate.read_config import load_evaluation
from iseg.evaluate.report import sum_up
from iseg.evaluate.score import save_summary, score_masks, table
from iseg.evaluate.signals import Ended, end_at_once
from iseg.evaluate.trouble import CodeError

BAD_INPUT, CODE_ERROR = 2, 3  # exit codes


def main(arguments: Sequence[str], prog: str = "python -m iseg.evaluate") -> int:
    """Run `run`, `score` or `decide`; the exit code is 0, 1 if single images failed, else see `exit_code`."""
    jobs = {"run": run_command, "score": score_command, "decide": decide_command}
    usage = (f"usage: {prog} run --config FILE [--key value ...]\n"
             f"       {prog} score --masks FOLDER --truth FOLDER [--classes voc20] [--names FILE] [--out FOLDER]\n"
             f"       {prog} decide --scores FOLDER --out FOLDER [--ignore LOW,HIGH] [--refine STEPS]\n"
             "--help after run, score or decide lists every setting")  # fmt: skip
    return run_job(jobs, arguments, prog, usage)


def run_job(
    jobs: Mapping[str, Callable[[list[str], str], int]], arguments: Sequence[str], prog: str, usage: str
) -> int:
    """Run the job that the first argument names, with the others; without one print the usage. Returns `exit_code`."""
    if not arguments or arguments[0] not in jobs:
        print(usage, file=sys.stderr)
        return 0 if set(arguments) & {"-h", "--help"} else BAD_INPUT
    return exit_code(lambda: jobs[arguments[0]](list(arguments[1:]), f"{prog} {arguments[0]}"))


def exit_code(job: Callable[[], int]) -> int:
    """The exit code of a job; what ends it early is one line on stderr.

    2 for unusable input, 3 for an error of the code, 130 for Ctrl-C, 143 for SIGTERM.
    """
    try:
        with end_at_once():
            return job()
    except InputError as error:
        line, code = f"error: {error}", BAD_INPUT
    except CodeError as error:
        line, code = f"error: {error}", CODE_ERROR
    except Ended as end:
        line, code = end.line, end.code
    if line:
        print(printable(line), file=sys.stderr)
    return code


def run_command(arguments: list[str], prog: str) -> int:
    """`run`: see `Evaluation` for the settings."""
    code = evaluate(load_evaluation(arguments, prog))
    PartialState().destroy_process_group()
    return code


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
