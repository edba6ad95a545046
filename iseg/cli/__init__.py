"""The `iseg` command. Exit codes: 0 all fine, 1 some images failed, 2 bad usage."""

import argparse
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module

from iseg import __version__
from iseg.cli.parser import LineParser
from iseg.cli.say import flush, hush, say
from iseg.errors import InputError

COMMANDS = {
    "segment": "cut images into objects: by class words, points, a line or a box",
    "label": "label many images on a cluster: manifest or bucket -> parquet",
    "unpack": "rows of iseg label -> mask PNGs or one COCO JSON",
    "gather": "sum up the shards of a run: is all there, one summary, one score",
    "page": "serve the interactive page: points, scribbles, boxes and words in the browser",
    "clicks": "how many clicks objects take (NoC): a simulated user over a data set",
    "label-studio": "serve as an ML backend of Label Studio: words, points and boxes in, brush masks out",
    "models": "list the backbones and whether their weights are at hand",
    "check": "check this machine and a model on it: what a bug report should hold",
}
HOMES = {"page": "iseg.page.main", "label-studio": "iseg.integrations.label_studio.main"}  # of those outside iseg.cli
BAD_USAGE, INTERRUPTED = 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with its arguments (those of the shell by default) and return the exit code."""
    try:
        code = _run_quietly(list(sys.argv[1:] if arguments is None else arguments))
        flush()
        return code
    except InputError as error:
        say(f"error: {error}", error=True)
        return BAD_USAGE
    except KeyboardInterrupt:
        say("interrupted", error=True)
        return INTERRUPTED
    except BrokenPipeError:  # whoever reads what is printed has enough
        hush(sys.stdout)
        return 0


def _run_quietly(arguments: list[str]) -> int:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # libraries' notes to programmers
            return _run(arguments)
    except SystemExit as end:  # --help, --version and --print_config end so
        return end.code if isinstance(end.code, int) else 0


def _run(arguments: list[str]) -> int:
    parser = LineParser(
        prog="iseg",
        description="Training-free segmentation from the attention of a text-to-image diffusion model.",
        epilog="`iseg COMMAND --help` explains a command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"iseg {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, what in COMMANDS.items():
        commands.add_parser(name, help=what, add_help=False)
    parsed, _ = parser.parse_known_args(arguments[:1])
    home = HOMES.get(parsed.command, f"iseg.cli.{parsed.command}")
    module = import_module(home)  # only what the command needs is imported
    return module.run(arguments[1:])
