"""Rows of `iseg label` as mask PNGs or one COCO JSON."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from tqdm import tqdm

from iseg.errors import InputError
from iseg.extras import import_extra
from iseg.files import coco
from iseg.files.export import encode_mask, write_json
from iseg.label import rows, store
from iseg.label.write import file_name


def read_rows(target: str) -> Iterator[dict[str, Any]]:
    """All rows of TARGET, file after file. Raises InputError for a folder without any."""
    files = store.list_files(store.join(target, rows.FOLDER), (".parquet",))
    if not files:
        raise InputError(f"{target}: holds no rows: expected the --out of iseg label")
    for path in tqdm(files, desc="unpack", unit="file", disable=None):
        with store.opened(path) as stream:
            file = pq.ParquetFile(stream)
            rows.read_about(file, path)
            for batch in file.iter_batches(256):
                yield from batch.to_pylist()


def write_masks(target: str, out: str) -> int:
    """Write OUT/ID.png of every row with a mask. Returns how many."""
    count = 0
    for row in read_rows(target):
        if row["error"] is None:
            store.write(f"{out.rstrip('/')}/{file_name(row['id'])}.png", encode_mask(rows.decode(row)))
            count += 1
    return count


def write_coco(target: str, path: Path) -> int:
    """Write one COCO JSON of all rows with a mask, in the order of their ids, which are the file names; count them.

    All of it is held in memory meanwhile.
    """
    kept = sorted((row for row in read_rows(target) if row["error"] is None), key=lambda row: row["id"])
    write_json(path, coco.join((row["id"], coco_part(row)) for row in kept))
    return len(kept)


def coco_part(row: dict[str, Any]) -> dict[str, Any]:
    """COCO's content of one row, as `iseg.files.export.coco_json` makes it of a mask."""
    coco_mask = import_extra("pycocotools.mask", "ray", "iseg unpack")
    annotations: list[dict[str, Any]] = []
    for k, (counts, score) in enumerate(zip(row["rle"], row["scores"], strict=True), 1):
        encoded = {"size": row["size"], "counts": counts.encode("ascii")}
        if score is None:  # nothing of this class
            continue
        annotations.append(
            {
                "id": len(annotations) + 1,
                "image_id": 1,
                "category_id": k,
                "segmentation": {"size": row["size"], "counts": counts},
                "area": int(coco_mask.area(encoded)),
                "bbox": [float(value) for value in coco_mask.toBbox(encoded)],
                "iscrowd": 0,
                "score": round(score, 6),
            }
        )
    height, width = row["size"]
    return {
        "images": [{"id": 1, "file_name": row["id"], "width": width, "height": height}],
        "annotations": annotations,
        "categories": [{"id": k, "name": name} for k, name in enumerate(row["classes"], 1)],
    }
