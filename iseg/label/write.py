"""Rows to files: parquet, and if asked for masks as PNG and tars of image and mask; each whole or not there."""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

import pyarrow as pa

from iseg.files.export import encode_mask
from iseg.label import rows, store

MASKS, TARS = "masks", "tars"  # folders below TARGET


class Writer:
    """Writes the rows of a batch to one parquet file; the rows come last, so that their images are done with all.

    The file's name comes of the ids in it: the same rows written again replace themselves.

    Args:
        target: a folder or URI.
        about: settings and weights, for the files' metadata.
        masks, tars: whether masks are written as TARGET/masks/ID.png, and image and mask to TARGET/tars.
    """

    def __init__(self, target: str, about: Mapping[str, Any], masks: bool, tars: bool) -> None:
        self.target, self.about, self.masks, self.tars = target, about, masks, tars

    def __call__(self, batch: pa.Table) -> pa.Table:
        """(rows, failed) of what was written."""
        names = batch["id"].to_pylist()
        name = hashlib.sha256("\0".join(names).encode("utf-8", "surrogatepass")).hexdigest()[:20]
        if self.masks:
            for row in whole(batch):
                store.write(
                    f"{store.join(self.target, MASKS)}/{file_name(row['id'])}.png", encode_mask(rows.decode(row))
                )
        if self.tars:
            store.write(f"{store.join(self.target, TARS)}/{name}.tar", tar(batch))
        table = batch.drop_columns([rows.IMAGE]) if rows.IMAGE in batch.column_names else batch
        store.write(f"{store.join(self.target, rows.FOLDER)}/{name}.parquet", rows.to_bytes(table, self.about))
        return pa.table({"rows": [batch.num_rows], "failed": [batch.num_rows - batch["error"].null_count]})


def whole(batch: pa.Table) -> Iterator[dict[str, Any]]:
    """The rows that have a mask."""
    return (row for row in batch.to_pylist() if row["error"] is None)


def file_name(name: str) -> str:
    """An id as a path of a file below a folder: what would leave the folder or is no part of a name is escaped."""
    parts = [quote(part, safe=" ()[],;=+@~'!$&") for part in name.split("/")]
    return "/".join(part.replace(".", "%2E") if not part.strip(".") else part for part in parts) or "%"


def tar(batch: pa.Table) -> bytes:
    """Samples of webdataset: KEY.jpg (the image as it was), KEY.mask.png, KEY.json (id, classes, scores).

    KEY is the id with "_" for "." in its last part, and a number where two share one.
    """
    buffer, taken = io.BytesIO(), set()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for row in whole(batch):
            folder, slash, own = file_name(row["id"]).rpartition("/")
            key = f"{folder}{slash}{own.replace('.', '_')}"
            while key in taken:
                key += "_"
            taken.add(key)
            about = {"id": row["id"], "classes": row["classes"], "scores": row["scores"]}
            for suffix, data in (
                (image_suffix(row[rows.IMAGE]), row[rows.IMAGE]),
                ("mask.png", encode_mask(rows.decode(row))),
                ("json", json.dumps(about).encode()),
            ):
                member = tarfile.TarInfo(f"{key}.{suffix}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def image_suffix(data: bytes) -> str:
    """The ending of an image by its first bytes."""
    kinds = {b"\xff\xd8": "jpg", b"\x89PNG": "png", b"GIF8": "gif", b"BM": "bmp", b"II": "tif", b"MM": "tif"}
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    return next((suffix for start, suffix in kinds.items() if data.startswith(start)), "img")
