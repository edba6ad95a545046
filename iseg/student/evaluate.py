"""`evaluate`: a student on a data set with truth, at several scales and mirrored."""

import argparse
from pathlib import Path

import torch

from iseg.data import KINDS
from iseg.data.classes import load_classes
from iseg.errors import InputError
from iseg.evaluate.config import Data
from iseg.evaluate.score import Score, save_summary, table
from iseg.student.network import Student, load_student
from iseg.student.predict import score_student
from iseg.student.settings import check_scales
from iseg.student.train import open_split


def evaluate_command(arguments: list[str], prog: str) -> int:
    """`evaluate`: write results.json and results.csv, print the table. Raises InputError for what cannot be used."""
    parser = argparse.ArgumentParser(prog=prog, description="Score a student.", allow_abbrev=False)
    parser.add_argument("--student", type=Path, required=True, help="folder of a student: OUT/best")
    parser.add_argument("--kind", choices=KINDS, default="voc", help="layout of the data set")
    parser.add_argument("--split", default="val")
    parser.add_argument("--root", help="folder of the data sets, or of the images of kind folder")
    parser.add_argument("--truth", help="folder of label PNGs of kind folder")
    parser.add_argument("--classes", default="voc20", help="class file: voc20, coco80 or a path")
    parser.add_argument(
        "--scales", help="factors on the picture's sides, averaged: 0.5,0.75,1,1.25,1.5,1.75; default: the training's"
    )
    parser.add_argument("--flip", action="store_true", help="average with mirrored pictures")
    parser.add_argument("--limit", type=int, help="only the first images")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ...")
    parser.add_argument("--out", type=Path, help="folder of results.json and results.csv; default: STUDENT/KIND-SPLIT")
    given = parser.parse_args(arguments)
    scales, classes = parse_scales(given.scales), load_classes(given.classes)
    data = Data(given.kind, given.split, given.root, given.truth, given.classes)
    items = open_split(data)[: given.limit]
    student = load_student(given.student, pick(given.device))
    check_names(student, [entry.name for entry in classes], str(given.student))
    scales = scales or student.scales
    counts = score_student(student, items, len(classes) + 1, scales, given.flip)
    summary = Score(counts, len(items)).summary(classes)
    out = given.out or given.student / f"{given.kind}-{given.split}"
    save_summary({**summary, "scales": scales, "flip": given.flip, "student": str(given.student)}, out)
    print(table(summary))
    print(f"{len(items)} images; results: {out}")
    return 0


def pick(device: str) -> torch.device:
    """A device by name; auto is a GPU where there is one. Raises InputError for one that is not there."""
    try:
        return torch.zeros(
            0, device=("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
        ).device
    except (RuntimeError, AssertionError):
        raise InputError(f"device {device} is not there: expected auto, cpu or a GPU of this machine") from None


def parse_scales(text: str | None) -> list[float] | None:
    """`0.75,1,1.25` -> factors, None stays. Raises InputError for anything else."""
    if text is None:
        return None
    try:
        scales = [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"scales is {text!r}: expected numbers separated by commas, e.g. 0.75,1,1.25") from None
    check_scales(scales)
    return scales


def check_names(student: Student, names: list[str], folder: str) -> None:
    """Raises InputError for a student of other classes."""
    if student.names[1:] != names:
        raise InputError(f"{folder} knows {len(student.names) - 1} classes ({', '.join(student.names[1:4])}, ...), the "
                         f"class file has {len(names)} ({', '.join(names[:3])}, ...): expected the same")  # fmt: skip
