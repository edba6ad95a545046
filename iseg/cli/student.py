"""`iseg segment --student FOLDER IMAGE`: masks by a trained student; no words, no diffusion model."""

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from iseg.cli.each import each_image
from iseg.cli.inputs import list_items
from iseg.cli.parser import LineParser
from iseg.data.items import Item
from iseg.files import export, pictures
from iseg.files.images import read_image

if TYPE_CHECKING:
    from iseg.student.network import Student


def run(arguments: list[str]) -> int:
    """Segment every image and return the exit code: 0, or 1 if some image failed. InputError for bad usage."""
    asked = _parser().parse_intermixed_args(arguments)
    items = list_items(asked.images, Path(asked.out))
    from iseg.student.evaluate import parse_scales, pick
    from iseg.student.network import load_student

    scales = parse_scales(asked.scales)
    student = load_student(asked.student, pick(asked.device))
    return each_image(items, lambda item: _segment(student, item, asked, scales or student.scales))


def _parser() -> LineParser:
    parser = LineParser(
        prog="iseg segment --student",
        description="Segment images with a trained student: OUT/NAME.png (class ids) and OUT/NAME.overlay.png.",
    )
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="image files and folders of images")
    parser.add_argument("--student", required=True, help="folder of a student: OUT/best of a training")
    parser.add_argument("--out", default="iseg-results", help="folder of the results")
    parser.add_argument(
        "--scales", help="factors on the picture's sides, averaged: 0.75,1,1.25; default: those of its training"
    )
    parser.add_argument("--flip", action="store_true", help="average with the mirrored picture")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    return parser


def _segment(student: "Student", item: Item, asked: Namespace, scales: list[float]) -> str:
    """Read, segment and save one image and return a line about it."""
    from iseg.student.predict import probabilities

    image = read_image(item.image)
    mask = probabilities(student, image, scales, asked.flip).argmax(0).cpu().numpy().astype(np.uint8)
    target = Path(asked.out) / item.name
    export.write_image(target.with_name(f"{target.name}.overlay.png"), pictures.overlay(image, mask))
    path = target.with_name(f"{target.name}.png")
    export.write_mask(path, mask)
    found = [student.names[label] for label in np.unique(mask) if label]
    return f"{item.image} -> {path}: {', '.join(found) or 'background only'}"
