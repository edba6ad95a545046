"""`iseg models`: the table of backbones and whether their weights are at hand."""

import json
import textwrap

from iseg.backbones.find import locate
from iseg.backbones.table import load_row, row_names
from iseg.cli.parser import LineParser
from iseg.errors import InputError


def run(arguments: list[str]) -> int:
    """Print the table, or with --json the same for programs, and return 0."""
    parser = LineParser(prog="iseg models", description="List the backbones and whether their weights are at hand.")
    parser.add_argument("--json", action="store_true", help="print JSON")
    rows = []
    as_json = parser.parse_args(arguments).json
    for name in row_names():
        row = load_row(name)
        try:
            place: str | None = str(locate(row, download=False))
        except InputError:
            place = None
        rows.append({"name": name, "weights": place, "note": row.note, "sources": row.sources, "words": row.words})
    print(json.dumps(rows, indent=2) if as_json else "\n".join(map(_text, rows)))
    return 0


def _text(row: dict) -> str:
    lines = [f"{row['name']}: {row['note']}"]
    if row["weights"]:
        lines.append(f"  weights: at hand, {row['weights']}")
    else:
        lines.append(f"  weights: not at hand; looked for in {', '.join(row['sources'])}")
    if row["words"]:
        lines += textwrap.wrap("  words: " + ", ".join(row["words"]), 100, subsequent_indent="    ")
    return "\n".join(lines)
