"""All ways to segment the demo's scenes without labels, beside each other: the table of docs/ovs.md.

    python -m scripts.clip_maps.table --scenes FOLDER [--out runs/clip_maps/table]

FOLDER is what `sh shell_ovs.sh demo` makes. Writes OUT/table.md and OUT/table.json and puts the table into docs/ovs.md;
masks that are there already are kept.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from iseg.errors import InputError
from iseg.evaluate.score import markdown, percent
from iseg.files.export import write_bytes, write_json
from ovs.run import run
from ovs.settings import load_settings

WAYS = {  # name: settings beside the demo's own
    "labels by TagCLIP, cross-attention": [],
    "labels by CLIP's gating, cross-attention": ["--tagging.presence", "clip"],
    "CLIPer's fused maps, raw": ["--maps", "clip", "--clip_preset", "cliper", "--clip_maps.refine", "none"],
    "CLIPer's fused maps, product of heads": [
        "--maps",
        "clip",
        "--clip_preset",
        "cliper",
        "--clip_maps.refine",
        "heads",
    ],
    "CLIP's patches apart, raw": ["--maps", "clip", "--clip_maps.refine", "none"],
    "CLIP's patches apart, product of heads": ["--maps", "clip", "--clip_maps.refine", "heads"],
    "CLIP's patches apart, entropy-reduced": ["--maps", "clip"],
    "joined": ["--maps", "joined"],
    "labels of the truth, cross-attention (bound)": ["--tagging.source", "truth"],
}
DOCS = Path(__file__).parents[2] / "docs" / "ovs.md"
BEGIN, END = "<!-- table of scripts/clip_maps/table.py -->\n", "<!-- end of the table -->\n"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/clip_maps/table"))
    options = parser.parse_args(arguments)
    try:
        rows = [measure(name, changes, options.scenes, options.out) for name, changes in WAYS.items()]
        write_json(options.out / "table.json", rows)
        keys = ("precision", "recall", "f1", "miou")
        head = ("maps", "presence: precision %", "recall %", "F1 %", "mIoU %")
        table = markdown(head, [(row["way"], *(percent(row[key]) for key in keys)) for row in rows])
        write_bytes(options.out / "table.md", table.encode())
        before, _, rest = DOCS.read_text(encoding="utf-8").partition(BEGIN)
        after = rest.partition(END)[2]
        write_bytes(DOCS, f"{before}{BEGIN}{table.rstrip()}\n{END}{after}".encode())
        print(table)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def measure(name: str, changes: list[str], scenes: Path, out: Path) -> dict[str, Any]:
    """Figures in [0, 1] of one way. Raises InputError if an image could not be segmented."""
    folder = out / "".join(letter if letter.isalnum() else "-" for letter in name.lower())
    given = ["--config", "ovs/demo", "--data.root", str(scenes), "--out", str(folder), "--upper_bound", "false"]
    if run(load_settings([*given, *changes], "table")):
        raise InputError(f"{folder}: some images could not be segmented: expected all of them")
    file = folder / "presence_quality.json"
    quality = json.loads((file if file.is_file() else folder / "labels_quality.json").read_text(encoding="utf-8"))
    shares = {key: quality[key] for key in ("precision", "recall", "f1")}
    return {"way": name, **shares, "miou": json.loads((folder / "results.json").read_text(encoding="utf-8"))["miou"]}


if __name__ == "__main__":
    sys.exit(main())
