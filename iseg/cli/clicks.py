"""`iseg clicks`: how many clicks objects take (NoC), by a simulated user over a data set."""

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from iseg.cli.parser import LineParser
from iseg.cli.say import say
from iseg.cli.settings import choose_model
from iseg.errors import InputError, echo
from iseg.extras import import_extra
from iseg.shards import parse_shard

if TYPE_CHECKING:
    from iseg.recipe import Recipe

DATA = ("grabcut", "berkeley", "davis", "sbd", "voc", "folder")
DECISIONS = ("refine", "markov", "cut")  # as in iseg.noc.play, which is slow to import


def run(arguments: list[str]) -> int:
    """Play and report; returns the exit code: 0, 1 if some image failed, 130 or 143 after a signal. InputError."""
    asked = _parser().parse_args(arguments)
    import_extra("accelerate", "data", "iseg clicks")
    model, note = choose_model(asked.model)
    if note:
        say(f"note: {note}", error=True)
    from iseg.evaluate.signals import Ended, end_at_once
    from iseg.noc.run import ClickRun, run_clicks

    masks = Path(asked.masks) if asked.masks else None
    settings = ClickRun(
        data=asked.data,
        root=Path(asked.root),
        masks=masks,
        recipe=_recipe(asked, model),
        decisions=_decisions(asked.decision),
        model=model,
        out=Path(asked.out),
        protocol=asked.protocol,
        whole=asked.whole,
        pieces=_share(asked.pieces),
        backbone=asked.backbone,
        device=asked.device,
        dtype=asked.dtype,
        vae=asked.vae,
        size=asked.size,
        limit=asked.limit,
        shard=parse_shard(asked.shard),
    )
    try:
        with end_at_once():
            return run_clicks(settings)
    except Ended as end:
        if end.line:
            say(end.line, error=True)
        return end.code


def _parser() -> LineParser:
    parser = LineParser(
        prog="iseg clicks",
        description="How many clicks an object takes until its mask has 85 and 90 % IoU (NoC), at most 20, each in the "
        "middle of the largest error. OUT gets results.json, objects.csv, curve.json, curve.png; records/ and "
        "config.yaml let a run go on.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--data", required=True, choices=DATA, help="the layout; folder: each id of a mask is an object"
    )
    parser.add_argument("--root", required=True, help="folder of the data set; of folder: with images/ and masks/")
    parser.add_argument("--masks", help="with folder: the label PNGs; --root then holds the images")
    parser.add_argument("--protocol", choices=("ritm", "m2n2"), default="ritm", help="the field's, or that of M2N2")
    parser.add_argument("--pieces", type=float, metavar="PERCENT", help="each connected piece of an id is an object if "
                        "it covers so much of the image, e.g. 2; for label maps of classes")  # fmt: skip
    parser.add_argument("--decision", default="markov", help=f"any of {', '.join(DECISIONS)}, set apart by commas")
    parser.add_argument("--decision-size", type=int, help="longest side in pixels of Markov maps")
    parser.add_argument("--whole", action="store_true", help="click 20 times whatever the IoU is")
    parser.add_argument("--limit", type=int, help="only the first images")
    parser.add_argument("--shard", default="1/1", metavar="I/N", help="only the I-th of N shares of the images")
    parser.add_argument("--out", default="iseg-clicks", help="folder of the results")
    parser.add_argument("--recipe", help="'wsss/voc' or a YAML file with a section recipe:")
    parser.add_argument("--model", help="tiny, sd21-base, a folder, a file or a hub id")
    parser.add_argument("--backbone", help="its row of the table")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument("--dtype", default="auto", help="precision")
    parser.add_argument("--vae", help="taesd, or a folder with an AutoencoderTiny")
    parser.add_argument("--size", type=int, help="side in pixels of the square that the model looks at")
    return parser


def _recipe(asked: Namespace, model: str) -> "Recipe":
    """The settings of the pass and of the decisions: those of --recipe or of the model. Raises InputError."""
    from iseg.backbones.find import find_row
    from iseg.recipe import Recipe, load_recipe

    if asked.limit is not None and asked.limit < 1:
        raise InputError(f"--limit is {asked.limit}: expected at least 1")
    row = find_row(model, asked.backbone)
    recipe = load_recipe(asked.recipe) if asked.recipe else Recipe().changed(**row.recipe)
    row.fitted(recipe, asked.size)
    return recipe if asked.decision_size is None else recipe.changed(decision_size=asked.decision_size)


def _share(percent: float | None) -> float | None:
    """--pieces as a share. Raises InputError for what is no part of an image."""
    if percent is not None and not 0 < percent <= 100:
        raise InputError(f"--pieces is {percent:g}: expected percent of an image, above 0 and at most 100")
    return None if percent is None else percent / 100


def _decisions(given: str) -> tuple[str, ...]:
    """--decision as names, each once. Raises InputError for what is not known."""
    names = [name.strip() for name in given.split(",")]
    for name in names:
        if name not in DECISIONS:
            raise InputError(f"--decision: {echo(name)} is not known: expected any of {', '.join(DECISIONS)}")
    return tuple(dict.fromkeys(names))
