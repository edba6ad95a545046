"""A model that does nothing: what remains is reading the manifest, dealing, and writing."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from iseg.cli.settings import read_job
from iseg.label import rows
from iseg.label.actor import Fetched
from iseg.label.options import Options
from iseg.label.run import Report, label

RLE = "PPYo1" + "1O001N2O0O2N101N" * 20  # about as long as that of a class in a photo; not to be decoded


class NullRows:
    """Rows of a usual size; an image's uri says how long it takes, in seconds."""

    def __init__(self, *_: Any) -> None:
        pass

    def fetch(self, row: Mapping[str, Any]) -> Fetched:
        return Fetched()

    def row(self, row: Mapping[str, Any], fetched: Fetched) -> dict[str, Any]:
        seconds = float(row["uri"])
        if seconds:
            time.sleep(seconds)
        return {**rows.empty(str(row["id"]), None, [480, 640]), "classes": ["cat"], "scores": [0.5], "rle": [RLE],
                "seconds": seconds}  # fmt: skip


def write_manifest(path: Path, count: int, seconds: float = 0.0, files: int = 1) -> Path:
    """A folder of `files` parquet files with `count` ids; each row takes so many seconds."""
    path.mkdir(parents=True, exist_ok=True)
    for index in range(files):
        mine = range(index * count // files, (index + 1) * count // files)
        table = pa.table({"id": [f"image-{number:09d}" for number in mine], "uri": [str(seconds)] * len(mine)})
        pq.write_table(table, path / f"part-{index:05d}.parquet", row_group_size=10_000)
    return path


def label_nothing(manifest: Path, target: Path, actors: int, batch_size: int, rows_per_file: int) -> Report:
    """`iseg label` with NullRows."""
    job = read_job([str(manifest), "--model", "tiny", "--classes", "cat"], free=True)
    options = Options(str(manifest), str(target), actors, batch_size=batch_size, rows_per_file=rows_per_file)
    return label(options, job, NullRows)
