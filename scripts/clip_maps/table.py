"""All ways to segment the demo's scenes without labels, beside each other: the table of docs/ovs.md.

    python -m scripts.clip_maps.table --scenes FOLDER [--out runs/clip_maps/table]

FOLDER is what `sh shell_ovs.sh demo` makes. Writes OUT/table.md and OUT/table.json and puts the table into docs/ovs.md;
masks that are there already are kept.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from torch import Tensor

from iseg.clip_maps.source import ClipSource
from iseg.errors import InputError
from iseg.evaluate.score import markdown, percent
from iseg.files.export import write_bytes, write_json
from iseg.files.images import ImageLike, read_image
from ovs.run import run
from ovs.settings import load_settings

EDGES, PLAIN = ["--recipe.upsample", "bilateral"], ["--clip_maps.upsample", "bilinear"]
CLIP, JOINED, FUSED = ["--maps", "clip"], ["--maps", "joined"], ["--maps", "clip", "--clip_preset", "cliper"]
WHOLE = ["--clip_maps.crop", "0", "--clip_maps.further_sides", "[144]"]
WAYS = {  # name: settings beside the demo's own
    "labels by TagCLIP, cross-attention": [],
    "joined, plus, along edges": JOINED,
    "joined, plus": [*JOINED, *PLAIN],
    "joined, times": [*JOINED, *PLAIN, "--clip_maps.join", "times"],
    "patches apart, windows, raw": [*CLIP, *PLAIN, "--clip_maps.refine", "none"],
    "the same, product of heads": [*CLIP, *PLAIN, "--clip_maps.refine", "heads"],
    "the same, entropy-reduced": [*CLIP, *PLAIN],
    "the same, entropy-reduced, along edges": CLIP,
    "patches apart, whole images, raw": [*CLIP, *PLAIN, *WHOLE, "--clip_maps.refine", "none"],
    "CLIPer's fused maps, raw": [*FUSED, "--clip_maps.refine", "none"],
    "CLIPer's fused maps, product of heads": [*FUSED, "--clip_maps.refine", "heads"],
    "labels of the truth, cross-attention (bound)": ["--tagging.source", "truth"],
    "labels of the truth, cross-attention, along edges": ["--tagging.source", "truth", *EDGES],
    "labels by CLIP's gating, cross-attention": ["--tagging.presence", "clip"],
    "labels by TagCLIP, cross-attention, along edges": EDGES,
}
DOCS = Path(__file__).parents[2] / "docs" / "ovs.md"
DECIDE_MAPS = ("model", "background", "templates", "shortest_side", "further_sides", "mirror", "patches", "scale",
               "select", "threshold", "crop", "stride")  # fmt: skip
BEGIN, END = "<!-- table of scripts/clip_maps/table.py -->\n", "<!-- end of the table -->\n"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/clip_maps/table"))
    options = parser.parse_args(arguments)
    try:
        rows: list[dict[str, Any]] = []
        with maps_made_once():
            for name, changes in WAYS.items():
                rows.append(measure(name, changes, options.scenes, options.out))
                table = write(rows, options.out)  # a run that is cut leaves what it has measured
        before, _, rest = DOCS.read_text(encoding="utf-8").partition(BEGIN)
        after = rest.partition(END)[2]
        write_bytes(DOCS, f"{before}{BEGIN}{table.rstrip()}\n{END}{after}".encode())
        print(table)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def write(rows: list[dict[str, Any]], out: Path) -> str:
    """Write the rows measured so far to OUT/table.json and OUT/table.md; returns the table."""
    write_json(out / "table.json", rows)
    keys = ("precision", "recall", "f1", "miou")
    head = ("maps", "presence: precision %", "recall %", "F1 %", "mIoU %")
    table = markdown(head, [(row["way"], *(percent(row[key]) for key in keys)) for row in rows])
    write_bytes(out / "table.md", table.encode())
    return table


@contextmanager
def maps_made_once() -> Iterator[None]:
    """Within the block ways that differ after CLIP's maps share these: they take most of the time."""
    make, made = ClipSource.maps, {}

    def maps(source: ClipSource, image: ImageLike, names: Sequence[str]) -> Tensor:
        how = [getattr(source.settings, field) for field in DECIDE_MAPS]
        key = hashlib.sha256(repr([how, list(names)]).encode() + read_image(image).tobytes()).digest()
        if key not in made:
            made[key] = make(source, image, names)
        return made[key]

    with patch.object(ClipSource, "maps", maps):
        yield


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
