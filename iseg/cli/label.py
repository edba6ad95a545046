"""`iseg label SOURCE --out TARGET`: a manifest, a folder or tars of images -> parquet, on one machine or many."""

import argparse
import math
from typing import TYPE_CHECKING

from iseg.cli.parser import LineParser
from iseg.cli.say import say
from iseg.cli.settings import Job, read_job
from iseg.errors import InputError, echo
from iseg.extras import import_extra

if TYPE_CHECKING:
    from iseg.label.run import Options

FAILED = 1
OWN = (
    "--save",
    "--resume",
    "--shard",
    "--prompts",
    "--mask",
    "--animation",
)  # options of `iseg segment` without use here

EPILOG = """\
SOURCE: a manifest (.parquet, .csv, .jsonl, or a folder of .parquet) with columns id, uri and, where images have their
own, classes, points or box; a folder of images; a .tar of webdataset or a folder of them. SOURCE and TARGET are paths
or URIs (s3://, gs://). What to look for, the model and the recipe are given as to `iseg segment`: --classes,
--vocabulary, --points, --box, --model, --device, ... A row's own prompt goes before these. A run that was interrupted
goes on when the command is given again.
TARGET/rows/*.parquet holds a row for each image: id, size, classes, scores, rle, error, seconds."""


def run(arguments: list[str]) -> int:
    """Returns the exit code: 0, 1 if some images failed. InputError for bad usage and for what stops all images."""
    options, job = read_options(arguments)
    from iseg.label.engine import prepare

    prepare(options.address)
    import_extra("ray.data", "ray", "iseg label")
    import_extra("pycocotools.mask", "ray", "iseg label")
    from iseg.label.run import label

    if job.note:
        say(job.note, error=True)
    report = label(options, job)
    if report.kept:
        say(f"{report.kept} of {report.images} images were labelled before with the same settings: kept")
    failed = f", {report.failed} of them without a mask (column error)" if report.failed else ""
    say(f"{report.rows} rows written{failed}: {options.target}")
    return FAILED if report.failed else 0


def read_options(arguments: list[str]) -> tuple["Options", Job]:
    """Parse and check. Raises InputError."""
    from iseg.label.options import Options

    parser = LineParser(prog="iseg label", description=__doc__.partition(": ")[2], epilog=EPILOG,
                        formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)  # fmt: skip
    parser.add_argument("source", metavar="SOURCE")
    parser.add_argument("--out", required=True, metavar="TARGET", help="a folder or URI")
    parser.add_argument("--actors", type=int, default=1, help="processes with a model each")
    parser.add_argument(
        "--cpus", type=float, help="CPUs of each actor; by default a share that leaves one for the rest"
    )
    parser.add_argument("--gpus", type=float, help="GPUs of each actor; by default a share of all")
    parser.add_argument("--batch-size", type=int, default=16, help="images handed to an actor at once")
    parser.add_argument("--rows-per-file", type=int, default=2000, help="rows of a parquet file, about")
    parser.add_argument("--address", help="of a Ray cluster, e.g. auto; without it Ray is started on this machine")
    parser.add_argument("--masks", action="store_true", help="also write TARGET/masks/ID.png")
    parser.add_argument("--webdataset", action="store_true", help="also write tars of image and mask to TARGET/tars")
    parser.add_argument("--retry-errors", action="store_true", help="try the images again that failed before")
    asked, rest = parser.parse_known_args(arguments)
    for name, value, least in (("actors", asked.actors, 1), ("batch-size", asked.batch_size, 1),
                               ("rows-per-file", asked.rows_per_file, 1), ("cpus", asked.cpus, 0),
                               ("gpus", asked.gpus, 0)):  # fmt: skip
        if value is not None and not (math.isfinite(value) and value >= least):
            raise InputError(f"--{name} is {value}: expected at least {least}")
    unused = [option for option in rest if option.partition("=")[0] in OWN]
    if unused:
        raise InputError(f"{echo(unused[0])} is of iseg segment: iseg label has no such option")
    job = read_job([asked.source, *rest], free=True)
    if len(job.images) > 1:
        raise InputError(f"{echo(job.images[1])}: expected one SOURCE: a manifest, a folder or tars")
    options = Options(
        asked.source, asked.out, asked.actors, asked.cpus, asked.gpus, asked.batch_size, asked.rows_per_file,
        asked.address, asked.masks, asked.webdataset, asked.retry_errors,
    )  # fmt: skip
    return options, job
