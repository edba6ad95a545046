"""`iseg segment IMAGE --everything`: regions without words."""

import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from iseg.cli.each import each_image
from iseg.cli.inputs import list_items
from iseg.cli.parser import LineParser
from iseg.cli.settings import choose_model
from iseg.data.items import Item
from iseg.errors import InputError
from iseg.files import export, pictures
from iseg.files.images import read_image
from iseg.regions import METHODS, RegionSettings

if TYPE_CHECKING:
    from iseg.pipeline import ISeg

MOST = 255  # regions that a label image holds beside 0


def run(arguments: list[str]) -> int:
    """Segment every image and return the exit code: 0, or 1 if some image failed. InputError for bad usage."""
    asked = _parser().parse_intermixed_args(arguments)
    chosen = RegionSettings(method=asked.regions, coarse=asked.coarse)
    items = list_items(asked.images, Path(asked.out))
    model, note = choose_model(asked.model)
    if note:
        print(note, file=sys.stderr)
    from iseg.pipeline import ISeg  # after all that bad usage ends

    seg = ISeg.from_pretrained(model, None, asked.device, asked.dtype, asked.backbone, asked.vae, asked.size)
    return each_image(items, lambda item: _segment(seg, item, asked, chosen))


def _parser() -> LineParser:
    parser = LineParser(
        prog="iseg segment --everything",
        description="Cut images into regions without words: OUT/NAME.png (regions 1, 2, ..., the largest first), "
        "OUT/NAME.coco.json (a score each) and OUT/NAME.panel.png.",
    )
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="image files and folders of images")
    parser.add_argument("--everything", action="store_true", help="regions without words")
    default = RegionSettings()
    parser.add_argument("--regions", choices=METHODS, default=default.method, help="how regions are found")
    parser.add_argument("--coarse", type=float, default=default.coarse, help="0 (many regions) to 1 (few)")
    parser.add_argument("--out", default="iseg-results", help="folder of the results")
    for name, text in (
        ("model", "tiny, sd21-base, a folder, a file or a hub id"),
        ("backbone", "its row of the table"),
    ):
        parser.add_argument(f"--{name}", help=text)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument("--dtype", default="auto", help="precision")
    parser.add_argument("--vae", help="taesd, or a folder with an AutoencoderTiny")
    parser.add_argument("--size", type=int, help="side in pixels of the square that the model looks at")
    return parser


def _segment(seg: "ISeg", item: Item, asked: Namespace, chosen: RegionSettings) -> str:
    """Read, segment and save one image and return a line about it."""
    image = read_image(item.image)
    found = seg.regions(image=seg.set_image(image), method=chosen.method, coarse=chosen.coarse)
    count = len(found.scores)
    if count > MOST:
        raise InputError(f"{count} regions: a label image holds {MOST}: give a larger --coarse than {chosen.coarse:g}")
    mask = (found.labels + 1).astype(np.uint8)
    names = [f"region {k}" for k in range(1, count + 1)]
    target = Path(asked.out) / item.name
    scores = (np.broadcast_to(score, mask.shape) for score in found.scores)  # one score for all its pixels
    content = export.coco_json(mask, names, item.image.name, scores)
    export.write_json(target.with_name(f"{target.name}.coco.json"), content)
    export.write_image(target.with_name(f"{target.name}.panel.png"), pictures.regions_panel(image, mask, names))
    path = target.with_name(f"{target.name}.png")
    export.write_mask(path, mask)
    return f"{item.image} -> {path}: {count} regions"
