"""What the page saves, at the image's own size: the same code as the command line writes files with."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iseg.errors import InputError
from iseg.files import export, pictures
from iseg.page.objects import PageObject

KINDS = {"mask": "image/png", "cutout": "image/png", "overlay": "image/png", "coco": "application/json"}


def palette(objects: Sequence[PageObject]) -> NDArray[np.uint8]:
    """The colours (256, 3) RGB of label images: 0 = black, k + 1 = the k-th object's colour."""
    colours = np.zeros((256, 3), np.uint8)
    for k, each in enumerate(objects):
        colours[k + 1] = [int(each.colour[i : i + 2], 16) for i in (1, 3, 5)]
    return colours


def make(
    kind: str,
    image: NDArray[np.uint8],
    name: str,
    objects: Sequence[PageObject],
    labels: NDArray[np.uint8],
    scores: NDArray[np.float32],
    opacity: float,
) -> tuple[str, str, bytes]:
    """One export: (file name, media type, bytes). Nothing of the upload's metadata is in it.

    Args:
        kind: "mask" (indexed PNG), "cutout" (RGBA), "overlay" (RGB) or "coco" (JSON).
        image: (H, W, 3). name: the file name it came with.
        objects: those to save; label k + 1 = the k-th. labels: (H, W). scores: (K, H, W).
        opacity: of the overlay, in [0, 1].
    """
    if kind not in KINDS:
        raise InputError(f"export {kind!r} is not known: expected one of {', '.join(KINDS)}")
    stem = "".join(c if c.isalnum() or c in "-_" else "_" for c in Path(name).stem)[:60] or "image"
    file_name = f"{stem}_{kind}.{'json' if kind == 'coco' else 'png'}"
    colours = palette(objects)
    if kind == "coco":
        content = export.coco_json(labels, [each.name for each in objects], Path(name).name, scores)
        return file_name, KINDS[kind], _json_bytes(content)
    with tempfile.TemporaryDirectory(prefix="iseg-ui-") as folder:
        path = Path(folder) / "export.png"
        if kind == "mask":
            export.write_mask(path, labels, colours)
        elif kind == "cutout":
            export.write_image(path, export.cutout(image, labels > 0))
        else:
            export.write_image(path, pictures.overlay(image, labels, opacity, colours))
        return file_name, KINDS[kind], path.read_bytes()


def _json_bytes(content: Any) -> bytes:
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()
