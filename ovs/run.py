"""Both stages of open-vocabulary segmentation: label the images of a split, then segment them by their labels."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from accelerate import PartialState

from iseg.data.labels import read_labels
from iseg.errors import InputError
from iseg.evaluate import evaluate, exit_code, open_run
from iseg.evaluate.dataset_run import Run
from iseg.evaluate.score import markdown, percent
from iseg.files.export import write_json
from ovs.labels import LABELS, make_labels, measure
from ovs.maps import segment_by_maps
from ovs.settings import OpenVocabulary, load_settings

PROG = "python -m ovs.main"
BOUND = "truth_labels"  # folder below OUT of the run with the labels of the truth


def main(arguments: Sequence[str]) -> int:
    """Both stages. Returns the exit code: 0, 1 if single images failed, else see `iseg.evaluate.exit_code`."""

    def job() -> int:
        code = run(load_settings(list(arguments), PROG))
        PartialState().destroy_process_group()
        return code

    return exit_code(job)


def run(settings: OpenVocabulary) -> int:
    """Label, measure the labels, segment, and compare with the labels of the truth if asked to."""
    out = Path(settings.out)
    if settings.maps != "cross":
        return run_maps(settings)
    labelled = replace(settings, data=replace(settings.data, labels=str(out / LABELS)))
    with open_run(labelled) as opened:  # a folder of other settings is found before anything is labelled
        if settings.upper_bound and any(item.label is None for item in opened.items):
            raise InputError("upper_bound is true, but the images have no truth masks: expected false")
        unlabelled = make_labels(settings, opened)
        whole = settings.part is None and opened.state.is_main_process
        found = measure(settings, opened.items, opened.classes) if whole else None
        if found:
            print(quality_table(found))
        reasons = {name: f"not labelled: {reason}" for name, reason in unlabelled.items()}
        code = opened.segment(read_labels(opened.place / LABELS, opened.classes), reasons)
    if settings.upper_bound:
        code = max(code, _bound(settings, opened, found))
    return code


def run_maps(settings: OpenVocabulary) -> int:
    """Segment by CLIP's maps without labels, measure which classes were found, and compare if asked to."""
    every = replace(settings, data=replace(settings.data, labels="every class"))
    with open_run(every) as opened:
        if settings.upper_bound and any(item.label is None for item in opened.items):
            raise InputError("upper_bound is true, but the images have no truth masks: expected false")
        code, found = segment_by_maps(settings, opened)
        if found:
            print(quality_table(found))
    if settings.upper_bound:
        code = max(code, _bound(settings, opened, found))
    return code


def _bound(settings: OpenVocabulary, opened: Run, found: dict[str, Any] | None) -> int:
    """Segment once more with the labels of the truth, and compare."""
    out, bound = Path(settings.out), Path(settings.out) / BOUND
    opened.say("\nUpper bound: the classes of the truth as labels")
    code = evaluate(replace(settings, out=str(bound), maps="cross"))
    if opened.state.is_main_process and settings.part is None:
        compare(out, bound, found)
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
