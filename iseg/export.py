"""Results as files: indexed PNG, cut-out, scores, COCO JSON, animation. Every write is atomic: whole or not at all."""

import io
import json
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco_mask

from iseg.errors import InputError

ANIMATIONS = {".webp": "WEBP", ".gif": "GIF"}


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary file beside `path` to write to; it becomes `path` when the block ends well and vanishes otherwise.

    Missing folders are made. Raises InputError naming `path` if it cannot be written (read-only, disk full, ...); an
    earlier file of that name is then unchanged.
    """
    target = Path(path)
    temporary = target.parent / f".{secrets.token_hex(8)}.tmp"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, target)
    except OSError as error:
        raise InputError(f"{target}: cannot be written: {error.strerror or error}") from None
    finally:
        if os.path.lexists(temporary):
            os.unlink(temporary)


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write a file atomically; see `atomic_path` for errors."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_json(path: str | Path, content: Any) -> None:
    """Write plain values as indented UTF-8 JSON."""
    write_bytes(path, (json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode())


def voc_palette() -> NDArray[np.uint8]:
    """The 256 colours (256, 3) RGB of PASCAL VOC label images: the bits of a label, spread over the three channels."""
    labels = np.arange(256, dtype=np.uint8)
    colours = np.zeros((256, 3), np.uint8)
    for bit in range(8):
        for channel in range(3):
            colours[:, channel] |= ((labels >> (3 * (bit // 3) + channel)) & 1 if bit % 3 == 0 else 0) << (7 - bit // 3)
    return colours
