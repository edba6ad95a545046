"""Results as files: indexed PNG, cut-out, scores, COCO JSON. Every write is atomic: whole or not at all."""

import io
import itertools
import json
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from iseg.errors import InputError
from iseg.extras import import_extra


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


@contextmanager
def atomic_files(folder: Path, last: str) -> Iterator[Path]:
    """A hidden folder to write several files to; when the block ends well they move to `folder`, else all vanish.

    The one called `last` moves last, after its earlier version was removed: where it is, all are there and of one run.
    Raises InputError naming what cannot be written.
    """
    hidden = folder / f".{secrets.token_hex(8)}.tmp"
    try:
        hidden.mkdir(parents=True)
        yield hidden
        (folder / last).unlink(missing_ok=True)
        for path in sorted(hidden.iterdir(), key=lambda path: path.name == last):
            os.replace(path, folder / path.name)
    except InputError as error:  # names the file where it was to be
        raise InputError(str(error).replace(str(hidden), str(folder))) from None
    except OSError as error:
        raise InputError(f"{folder}: cannot be written: {error.strerror or error}") from None
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write a file atomically; see `atomic_path` for errors."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_json(path: str | Path, content: Any) -> None:
    """Write plain values as indented UTF-8 JSON."""
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    try:
        data = text.encode()
    except UnicodeEncodeError:  # the name of a file that is not UTF-8, held as escapes
        data = json.dumps(content, indent=2, allow_nan=False).encode()
    write_bytes(path, data + b"\n")


def voc_palette() -> NDArray[np.uint8]:
    """The 256 colours (256, 3) RGB of PASCAL VOC label images: bit 3j + c of a label is bit 7 - j of channel c."""
    labels = np.arange(256)
    colours = np.zeros((256, 3), np.uint8)
    for bit in range(8):
        place, channel = divmod(bit, 3)
        colours[:, channel] |= (((labels >> bit) & 1) << (7 - place)).astype(np.uint8)
    return colours


def write_mask(path: str | Path, mask: NDArray, palette: NDArray[np.uint8] | None = None) -> None:
    """Write labels (H, W), integers 0..255, as an indexed PNG whose pixel values are the labels.

    palette: (256, 3) RGB colours of the labels; VOC's by default.
    """
    write_bytes(path, encode_mask(mask, palette))


def encode_mask(mask: NDArray, palette: NDArray[np.uint8] | None = None) -> bytes:
    """The file of `write_mask`."""
    image = Image.fromarray(_labels(mask))
    image.putpalette((voc_palette() if palette is None else palette).tobytes())
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def write_image(path: str | Path, image: NDArray[np.uint8] | Image.Image) -> None:
    """Write (H, W), (H, W, 3) RGB or (H, W, 4) RGBA uint8, or a PIL image, as a PNG."""
    save_encoded(path, image if isinstance(image, Image.Image) else Image.fromarray(image), format="PNG")


def cutout(image: NDArray[np.uint8], region: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """RGB (H, W, 3) and a region (H, W) -> RGBA (H, W, 4): opaque inside, transparent (and black) outside."""
    if region.shape != image.shape[:2]:
        raise InputError(f"region has shape {region.shape}: expected the image's (H, W) = {image.shape[:2]}")
    alpha = np.where(region, 255, 0).astype(np.uint8)
    return np.dstack([np.where(region[..., None], image, 0).astype(np.uint8), alpha])


def write_scores(path: str | Path, scores: Iterable[NDArray], names: Sequence[str], size: tuple[int, ...]) -> None:
    """Write K score maps (H, W) as float16 (K, H, W) and their names to a compressed `.npz` ("scores", "names")."""
    buffer = io.BytesIO()
    maps = np.empty((len(names), *size), np.float16)
    for k, score in enumerate(scores):
        maps[k] = score
    np.savez_compressed(buffer, scores=maps, names=np.array(list(names), dtype=np.str_))
    write_bytes(path, buffer.getvalue())


def coco_json(
    mask: NDArray, names: Sequence[str], file_name: str, scores: Iterable[NDArray] | None = None
) -> dict[str, Any]:
    """One image's labels in COCO's format: a run-length encoded annotation per class that is present.

    Args:
        mask: (H, W) integers, label k + 1 = names[k], 0 = background.
        names: the K classes; their category ids are 1..K.
        file_name: of the image.
        scores: K maps (H, W) in [0, 1]: each annotation gets the mean score of its pixels.

    Boxes are [x, y, width, height] in pixels.
    """
    labels = _labels(mask)
    annotations: list[dict[str, Any]] = []
    maps = itertools.repeat(None, len(names)) if scores is None else scores
    for k, score in enumerate(maps):
        region = labels == k + 1
        if not region.any():
            continue
        annotation: dict[str, Any] = {
            "id": len(annotations) + 1,
            "image_id": 1,
            "category_id": k + 1,
            **coco_region(region),
            "iscrowd": 0,
        }
        if score is not None:
            annotation["score"] = round(float(score[region].mean()), 6)
        annotations.append(annotation)
    height, width = labels.shape
    return {
        "images": [{"id": 1, "file_name": file_name, "width": width, "height": height}],
        "annotations": annotations,
        "categories": [{"id": k + 1, "name": name} for k, name in enumerate(names)],
    }


def coco_region(region: NDArray) -> dict[str, Any]:
    """COCO's `segmentation` (run lengths), `area` and `bbox` ([x, y, width, height]) of a region (H, W)."""
    coco_mask = import_extra("pycocotools.mask", "data", "COCO JSON")
    encoded = coco_mask.encode(np.asfortranarray(region.view(np.uint8)))
    return {
        "segmentation": {"size": list(region.shape), "counts": encoded["counts"].decode("ascii")},
        "area": int(coco_mask.area(encoded)),
        "bbox": [float(value) for value in coco_mask.toBbox(encoded)],
    }


def save_encoded(path: str | Path, image: Image.Image, **options: Any) -> None:
    """Encode in memory, then write: an encoder that fails leaves no file either."""
    buffer = io.BytesIO()
    try:
        image.save(buffer, **options)
    except (OSError, ValueError) as error:  # e.g. WebP takes at most 16383 pixels a side
        raise InputError(f"{path}: cannot be written: {error}") from None
    write_bytes(path, buffer.getvalue())


def _labels(mask: NDArray) -> NDArray[np.uint8]:
    array = np.asarray(mask)
    if array.ndim != 2 or array.dtype.kind not in "iub":
        raise InputError(f"mask is {array.dtype} of shape {array.shape}: expected (H, W) integers")
    if array.size and not (array.min() >= 0 and array.max() <= 255):
        raise InputError(f"mask holds labels {array.min()}..{array.max()}: expected 0..255")
    return array.astype(np.uint8)
