"""The rows of `iseg label`: one for each image, as parquet, with the masks as COCO's run lengths."""

import io
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from iseg.errors import InputError
from iseg.extras import import_extra

if TYPE_CHECKING:  # those who write rows load no model
    from iseg.results import Segmentation

FOLDER = "rows"  # below TARGET
IMAGE = "image"  # column of the images' bytes, where they are kept for tars
META = b"iseg"  # key of the files' metadata
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("size", pa.list_(pa.int32())),  # height, width; null where the image could not be read
        ("classes", pa.list_(pa.string())),  # what was asked for, or found of a vocabulary
        ("scores", pa.list_(pa.float32())),  # mean score in [0, 1] of a class's pixels; null without any
        ("rle", pa.list_(pa.string())),  # COCO's compressed counts of each class, at `size`
        ("error", pa.string()),  # why there is no mask, or null
        ("seconds", pa.float32()),  # that the model took
    ]
)


def encode(name: str, result: "Segmentation", seconds: float) -> dict[str, Any]:
    """The row of an image."""
    coco_mask = import_extra("pycocotools.mask", "ray", "iseg label")
    rle, scores = [], []
    for k, score in enumerate(result.each_score()):
        region = result.mask == k + 1
        encoded = coco_mask.encode(np.asfortranarray(region.view(np.uint8)))
        rle.append(encoded["counts"].decode("ascii"))
        scores.append(round(float(score[region].mean()), 6) if region.any() else None)
    size = [int(side) for side in result.mask.shape]
    return {**empty(name, None), "size": size, "classes": list(result.names), "scores": scores, "rle": rle,
            "seconds": seconds}  # fmt: skip


def empty(name: str, error: str | None, size: Sequence[int] | None = None) -> dict[str, Any]:
    """The row of an image without a mask."""
    return {"id": name, "size": size, "classes": [], "scores": [], "rle": [], "error": error, "seconds": None}


def decode(row: Mapping[str, Any]) -> NDArray[np.uint8]:
    """The label map (H, W) of a row: k + 1 for its k-th class, 0 = background."""
    coco_mask = import_extra("pycocotools.mask", "ray", "iseg unpack")
    height, width = row["size"]
    mask = np.zeros((height, width), np.uint8)
    for label, counts in enumerate(row["rle"], 1):
        mask[coco_mask.decode({"size": [height, width], "counts": counts.encode("ascii")}) > 0] = label
    return mask


def to_bytes(table: pa.Table, about: Mapping[str, Any]) -> bytes:
    """Rows as a parquet file; about: settings and weights, kept in the file's metadata."""
    meta = {META: json.dumps(about, sort_keys=True).encode()}
    buffer = io.BytesIO()
    pq.write_table(table.select(SCHEMA.names).cast(SCHEMA).replace_schema_metadata(meta), buffer, compression="zstd")
    return buffer.getvalue()


def read_about(file: pq.ParquetFile, where: str) -> dict[str, Any]:
    """The settings and weights that a file of rows was made with. Raises InputError for a file that is not ours."""
    meta = (file.schema_arrow.metadata or {}).get(META)
    try:
        about = json.loads(meta) if meta else None
    except ValueError:
        about = None
    if not isinstance(about, dict):
        raise InputError(f"{where}: holds no rows of iseg label: give another --out")
    return about
