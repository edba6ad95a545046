"""`iseg unpack TARGET`: the rows of `iseg label` -> mask PNGs, or one COCO JSON."""

from pathlib import Path

from iseg.cli.parser import LineParser
from iseg.cli.say import say
from iseg.extras import import_extra


def run(arguments: list[str]) -> int:
    """Returns the exit code 0. InputError for bad usage."""
    parser = LineParser(prog="iseg unpack", description="Rows of iseg label -> mask PNGs, or one COCO JSON.",
                        allow_abbrev=False)  # fmt: skip
    parser.add_argument("target", metavar="TARGET", help="the --out of iseg label: a folder or URI")
    parser.add_argument("--out", help="folder or URI of the masks, OUT/ID.png")
    parser.add_argument("--coco", type=Path, metavar="FILE", help="one COCO JSON of all images")
    asked = parser.parse_args(arguments)
    if (asked.out is None) == (asked.coco is None):
        parser.error("expected one of --out FOLDER and --coco FILE")
    import_extra("pyarrow", "ray", "iseg unpack")
    import_extra("pycocotools.mask", "ray", "iseg unpack")
    from iseg.label.unpack import write_coco, write_masks

    if asked.coco is not None:
        count = write_coco(asked.target, asked.coco)
        say(f"{count} images: {asked.coco}")
    else:
        count = write_masks(asked.target, asked.out)
        say(f"{count} masks: {asked.out}")
    return 0
