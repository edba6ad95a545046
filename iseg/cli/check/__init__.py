"""`iseg check`: the first minute on a new machine, and what belongs into a bug report."""

import argparse
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

from iseg import __version__
from iseg.cli.check import machine, versions
from iseg.cli.check.report import Finding, Report, clean, say
from iseg.cli.parser import LineParser
from iseg.errors import InputError

DESCRIPTION = """\
Check this machine and a model on it: one line per item, with the verdict ok, warning or FAILED, and the same as JSON.
Nothing is downloaded. No secrets are told, and the home folder is "~": the whole is meant for a bug report."""
EPILOG = "Exit codes: 0 all fine (warnings allowed), 1 something FAILED, 2 bad usage."


def run(arguments: list[str]) -> int:
    """Check all that can be checked, print and write what was found, and return the exit code."""
    options = _options(arguments)
    report = Report()
    report.section("versions", versions.items)
    report.section("machine", machine.items)
    report.section("weights", _weights)
    report.section("model", partial(_model, options))
    say(clean(_summary(report, options)))
    return int(report.count("FAILED") > 0)


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = LineParser(
        prog="iseg check", description=DESCRIPTION, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--model", help="as for `iseg segment`; by default sd21-base if its weights are here, else tiny"
    )
    parser.add_argument("--backbone", help="row of configs/backbones/ whose layers fit a folder, file or hub id")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument("--dtype", default="auto", help="auto, float32, float16, bfloat16 or mixed")
    parser.add_argument("--json", default="iseg-check.json", metavar="FILE", help="default: iseg-check.json")
    options = parser.parse_args(arguments)
    file = Path(options.json)
    if file.is_dir() or any(parent.is_file() for parent in file.parents):
        raise InputError(f"--json {options.json}: cannot be written there: expected a file in a folder")
    _check_model(options)
    return options


def _check_model(options: argparse.Namespace) -> None:
    """Raises InputError for a model, device or precision that is not there, wherever torch lets us ask."""
    try:
        from iseg.backbones.find import find_row
        from iseg.backbones.load import pick_device, pick_dtype
    except Exception:  # a package is missing or broken: an item will say which
        return
    if options.model is not None:
        find_row(options.model, options.backbone)
    pick_dtype(options.dtype, pick_device(options.device))


def _weights() -> Iterator[tuple[str, Callable[[], Finding]]]:
    from iseg.cli.check import weights  # needs packages that may be what is broken

    yield from weights.items()


def _model(options: argparse.Namespace) -> Iterator[tuple[str, Callable[[], Finding]]]:
    from iseg.cli.check.model import Model
    from iseg.cli.check.weights import choose

    name, found = choose(options.model)
    yield "model", lambda: found
    yield from Model(name, options.backbone, options.device, options.dtype).items()


def _summary(report: Report, options: argparse.Namespace) -> str:
    """Write the JSON and say what was found."""
    content = {
        "iseg": __version__,
        "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "asked": {key: getattr(options, key) for key in ("model", "backbone", "device", "dtype")},
        "verdict": report.verdict,
        "items": report.items,
    }
    counts = f"{report.count('ok')} ok, {report.count('warning')} warnings, {report.count('FAILED')} FAILED"
    try:
        from iseg.files.export import write_json

        write_json(options.json, content)
    except Exception as error:  # the lines above have told all that the file would
        report.fail("json", error)
        return counts
    return f"{counts}; as JSON: {options.json}"
