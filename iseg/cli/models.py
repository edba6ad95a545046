"""`iseg models`: the table of backbones, what of it is at hand, and getting what is not."""

import json
import textwrap
from dataclasses import asdict
from typing import Any

from iseg.backbones.find import find_row, row_sources
from iseg.backbones.inventory import Stock, get, take_stock
from iseg.backbones.load import DTYPES, holds_half, pick_device, pick_dtype
from iseg.backbones.records import used_files
from iseg.backbones.sources import Source
from iseg.backbones.table import BackboneRow, load_row, row_names
from iseg.cli.parser import LineParser
from iseg.errors import InputError


def run(arguments: list[str]) -> int:
    """Print the table, or get weights and print what was got; with --json for programs. Returns 0."""
    parser = LineParser(prog="iseg models", description="List the backbones, or get the weights of one.")
    parser.add_argument("--get", metavar="NAME", help="get the weights of a backbone or hub id, and check them")
    parser.add_argument("--dtype", default="auto", choices=["auto", *DTYPES], help="precision they are got for")
    parser.add_argument("--renew", action="store_true", help="accept weights that differ from those recorded")
    parser.add_argument("--json", action="store_true", help="print JSON")
    asked = parser.parse_args(arguments)
    if asked.get is None:
        for option, given in (("--dtype", asked.dtype != "auto"), ("--renew", asked.renew)):
            if given:
                raise InputError(f"{option} was given without --get NAME: expected both")
        rows = [_describe(load_row(name)) for name in row_names()]
        print(json.dumps(rows, indent=2) if asked.json else "\n".join(map(_text, rows)))
    else:
        got = _get(find_row(asked.get), asked.dtype, asked.renew)
        print(json.dumps(got, indent=2) if asked.json else _got_text(got))
    return 0


def _describe(row: BackboneRow) -> dict[str, Any]:
    stock = take_stock(row)
    held = asdict(stock) if stock else dict.fromkeys(Stock.__dataclass_fields__)
    names = [source.id for source in row_sources(row)]
    return {"name": row.name, **held, "licence": row.licence, "note": row.note, "sources": names, "words": row.words}


def _get(row: BackboneRow, dtype: str, renew: bool) -> dict[str, Any]:
    if all(source.kind == "local" for source in row_sources(row)):
        raise InputError(f"{row_sources(row)[0].id} is on this machine: expected a name of the table or a hub id")
    half = holds_half(pick_dtype(dtype, pick_device(), row.cpu_dtype))
    got = get(row, half, renew)
    files = used_files(got.place, half)
    return {
        "name": row.name,
        "weights": str(got.place),
        "source": got.source.id,
        "bytes": sum(file.stat().st_size for file in files.values()),
        "files": sorted(files),
        "record": got.record and str(got.record),
        "offline": got.offline,
        "pinned": bool(got.source.sha256),
    }


def _got_text(got: dict[str, Any]) -> str:
    lines = [
        f"{got['name']}: {_size(got['bytes'])} in {len(got['files'])} files from {got['source']}",
        f"  weights: {got['weights']}",
        f"  digests: recorded in {got['record']}" if got["record"] else "  part of this installation",
    ]
    if got["offline"]:
        lines.append(f"  note: the hub was not asked ({got['offline']}): the files were at hand already")
    if not got["pinned"]:
        lines += _unpinned(Source(got["source"]))
    return "\n".join(lines)


def _text(row: dict[str, Any]) -> str:
    lines = [f"{row['name']}: {row['note']}"]
    if row["weights"]:
        lines.append(f"  weights: at hand, {row['weights']}")
        lines.append(f"  {_size(row['bytes'])} of {row['files']} files from {row['source']}; digests {row['digests']}")
        if not row["pinned"]:
            lines += _unpinned(Source(row["source"]))
    else:
        lines.append(f"  weights: not at hand; get them with iseg models --get {row['name']}")
        lines.append(f"  sources: {', '.join(row['sources'])}")
    if row["licence"]:
        lines.append(f"  licence: {row['licence']}")
    if row["words"]:
        lines += textwrap.wrap("  words: " + ", ".join(row["words"]), 100, subsequent_indent="    ")
    return "\n".join(lines)


def _unpinned(source: Source) -> list[str]:
    """A line for weights from a hub of which nothing but their own record tells that they are the right ones."""
    if source.kind not in ("hub", "modelscope"):
        return []
    return [f"  note: {source.id} is a copy that the table does not pin: a record tells only whether it changes"]


def _size(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
