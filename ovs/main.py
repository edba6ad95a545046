"""Open-vocabulary segmentation of a split: label the images, then segment them by their labels.

python -m ovs.main --config ovs/voc [--key value ...]
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from accelerate import PartialState

from iseg.data import open_items
from iseg.data.classes import load_classes
from iseg.errors import InputError
from iseg.evaluate import evaluate
from iseg.evaluate.score import markdown, percent
from iseg.files.export import write_json
from ovs.labels import make_labels, measure
from ovs.settings import OpenVocabulary, load_settings

PROG = "python -m ovs.main"
BAD_INPUT = 2  # exit code


def main(arguments: Sequence[str]) -> int:
    """Both stages. Returns the exit code: 0, 1 if single images failed, 2 for unusable input."""
    try:
        return run(load_settings(list(arguments), PROG))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT


def run(settings: OpenVocabulary) -> int:
    """Label, measure the labels, segment, and compare with the labels of the truth if asked to."""
    data = settings.data
    classes = load_classes(data.classes)
    items = open_items(data.kind, data.split, data.root, data.truth)[: settings.limit]
    labels = make_labels(settings, items, classes)
    state = PartialState()
    main_process, processes = state.is_main_process, state.num_processes
    found = measure(settings, items, classes) if main_process else None
    if found:
        print(quality_table(found))
    code = evaluate(replace(settings, data=replace(data, labels=str(labels))))
    if settings.upper_bound and processes > 1:
        if main_process:
            print("the upper bound is made by one process: run again without accelerate launch")
    elif settings.upper_bound:
        bound = Path(settings.out) / "truth_labels"
        print("\nUpper bound: the classes of the truth as labels")
        code = max(code, evaluate(replace(settings, out=str(bound))))
        compare(Path(settings.out), bound, found)
    return code


def quality_table(found: dict[str, Any]) -> str:
    """Per-class and overall quality of labels as a Markdown table; classes that occur nowhere are left out."""
    rows = [
        (entry["name"], *(percent(entry[key]) for key in ("precision", "recall", "f1", "ap")), str(entry["images"]))
        for entry in found["classes"]
        if entry["images"] or entry["precision"] is not None
    ]
    means = (percent(found[key]) for key in ("precision", "recall", "f1", "map"))
    rows.append(("all labels", *means, str(found["images"])))
    return markdown(("labels", "precision %", "recall %", "F1 %", "AP %", "images"), rows)


def compare(out: Path, bound: Path, found: dict[str, Any] | None) -> None:
    """Print labels' F1 and mIoU beside the upper bound, and write OUT/comparison.json."""
    scores = [json.loads((folder / "results.json").read_text())["miou"] for folder in (out, bound)]
    f1 = found["f1"] if found else None
    rows = [("this run", percent(f1), percent(scores[0])), ("the truth", percent(1.0), percent(scores[1]))]
    print(markdown(("labels from", "labels' F1 %", "mIoU %"), rows))
    write_json(out / "comparison.json", {"labels_f1": f1, "miou": scores[0], "miou_truth_labels": scores[1]})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
