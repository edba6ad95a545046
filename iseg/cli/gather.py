"""`iseg gather OUT`: the shards of a run as the one run they are parts of."""

from importlib import import_module
from pathlib import Path

from iseg.cli.parser import LineParser
from iseg.errors import InputError, echo
from iseg.files.shards import read_shards

# kind of a run, as its shards name it: (module, function of OUT and the records)
GATHERERS = {
    "segment": ("iseg.cli.sharded", "gather"),
    "evaluate": ("iseg.evaluate.gather", "gather_evaluation"),
    "regions": ("iseg.evaluate.gather", "gather_regions"),
    "ovs": ("ovs.gather", "gather"),
}


def run(arguments: list[str]) -> int:
    """Check that all shards are whole, write what the unsharded run writes. Returns the exit code: 0, 1 if some image
    failed. InputError, which ends with 2, names the shards that are missing or not finished."""
    parser = LineParser(
        prog="iseg gather",
        description="Check that all shards of a run are whole and write the summary and scores of the one run.",
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="the --out of runs with --shard I/N")
    parser.add_argument("--shards", type=int, metavar="N", help="their number, where OUT holds several cuts")
    asked = parser.parse_args(arguments)
    records = read_shards(asked.out, asked.shards)
    kind = records[0]["kind"]
    if kind not in GATHERERS:
        raise InputError(f"{asked.out}: shards of kind {echo(kind)}: expected one of {', '.join(GATHERERS)}")
    module, function = GATHERERS[kind]
    try:
        gather = getattr(import_module(module), function)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != module.partition(".")[0]:
            raise
        raise InputError(f"the shards are of {error.name}/, which is not installed: gather in a clone") from None
    return gather(asked.out, records)
