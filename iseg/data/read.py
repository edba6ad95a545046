"""Reading an item's two files."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from iseg.data.items import IGNORE, Item
from iseg.errors import InputError
from iseg.files.images import decoding, read_image


def read_stored(path: Path) -> NDArray[np.uint8]:
    """RGB image (H, W, 3) as it is stored, without EXIF rotation: truth masks are drawn on the stored pixels.

    Raises InputError naming a file that is missing or broken.
    """
    with decoding(path), Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def read_label(path: Path, num_classes: int) -> NDArray[np.uint8]:
    """Label map (H, W): 0 background, 1..num_classes - 1, 255 ignore; `num_classes` counts the background.

    Raises InputError naming a file that is missing, broken, not indexed or grey, or that holds another label.
    """
    with decoding(path), Image.open(path) as image:
        mode, label = image.mode, np.asarray(image)
    if label.ndim != 2 or label.dtype.kind not in "iub":
        raise InputError(f"{path}: is a {mode} picture: expected an indexed or grey PNG of class ids")
    wrong = label[(label < 0) | (label >= num_classes) & (label != IGNORE)]
    if wrong.size:
        raise InputError(f"{path}: holds label {wrong[0]}: expected 0..{num_classes - 1} or {IGNORE}")
    return label.astype(np.uint8)


def read_truth(item: Item, num_classes: int) -> NDArray[np.uint8]:
    """Label map (H, W) of an item as it is scored: as `read_label`, 0 made 255 where background does not count.

    Raises InputError as `read_label`, and for an item without truth.
    """
    if item.label is None:
        raise InputError(f"{item.name} has no truth mask")
    label = read_label(item.label, num_classes)
    return label if item.background else np.where(label == 0, np.uint8(IGNORE), label)


def read_pair(item: Item, num_classes: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    """Image (H, W, 3) and label map (H, W) or None. InputError if either cannot be used or their sizes differ.

    An image without truth is turned upright.
    """
    if item.label is None:
        return read_image(item.image), None
    image = read_stored(item.image)
    label = read_truth(item, num_classes)
    if label.shape != image.shape[:2]:
        raise InputError(f"{item.label}: has {_size(label)} pixels, its image {item.image.name} has {_size(image)}")
    return image, label


def _size(array: NDArray) -> str:
    """Width x height of an image or label map."""
    return f"{array.shape[1]}x{array.shape[0]}"
