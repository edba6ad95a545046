"""Images as users have them -> upright RGB arrays -> the square tensor that the encoder sees."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from iseg.errors import InputError, printable

MAX_PIXELS = 89_478_485  # Pillow's own limit: a larger image is refused before it is decoded

ImageLike = str | Path | Image.Image | NDArray


def read_image(image: ImageLike) -> NDArray[np.uint8]:
    """An image as an upright RGB array (H, W, 3) uint8.

    Args:
        image: path, PIL image, or array: (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), uint8, uint16 or float in [0, 1].
            EXIF orientation is applied; transparency is laid on white; 16 bits become 8; an animation gives its
            first frame.

    Raises InputError for a file that is missing, corrupt or too large, and for an array of another shape or dtype.
    """
    if isinstance(image, (str, Path)):
        return _read_file(Path(image))
    if isinstance(image, Image.Image):
        with decoding("the image that was given"):
            return _to_rgb(image)
    if isinstance(image, np.ndarray):
        return _from_array(image)
    raise InputError(f"image is a {type(image).__name__}: expected a path, a PIL image or a (H, W, 3) uint8 RGB array")


@contextmanager
def decoding(name: str | Path) -> Iterator[None]:
    """A block that reads an image: whatever is wrong with it becomes an InputError naming it.

    Decoders raise nearly every type on broken content (IndexError, struct.error, RuntimeError, ...).
    """
    try:
        yield
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    except FileNotFoundError:
        raise InputError(f"{name}: no such image file") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise InputError(f"{name}: too large: expected at most {MAX_PIXELS:,} pixels") from None
    except UnidentifiedImageError:
        raise InputError(f"{name}: not an image that can be read: expected PNG, JPEG, WebP, TIFF, BMP, ...") from None
    except MemoryError:
        raise InputError(f"{name}: not enough memory to read the image: expected a smaller one") from None
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:  # the system's, not the decoder's
            raise InputError(f"{name}: cannot be read: {error.strerror}") from None
        said = printable(error, 200) or type(error).__name__
        raise InputError(f"{name}: the image is corrupt: {said}") from None


def read_mask(path: Path) -> NDArray[np.bool_]:
    """A picture of a region, upright, as (H, W): True where it is opaque, or without transparency not black (0).

    Raises InputError for a file that is missing, corrupt or too large.
    """
    with decoding(path), _opened(path) as opened:
        upright = ImageOps.exif_transpose(opened)
        if upright.mode in ("LA", "PA", "RGBA"):
            return np.asarray(upright.getchannel("A")) > 0
        values = np.asarray(upright)
        return values != 0 if values.ndim == 2 else (values != 0).any(2)


def _read_file(path: Path) -> NDArray[np.uint8]:
    with decoding(path), _opened(path) as opened:
        return _to_rgb(opened)


def _opened(path: Path) -> Image.Image:
    """An image file, not yet decoded."""
    if path.exists() and not path.is_file():  # a pipe would never end
        raise InputError("is not a file: expected an image file")
    opened = Image.open(path)
    if opened.width * opened.height > MAX_PIXELS:  # for callers who silence Pillow's warning
        opened.close()
        raise Image.DecompressionBombError
    return opened


def _to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith(("I", "F")):
        return _from_array(np.asarray(upright))
    if upright.has_transparency_data:
        rgba = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return np.array(upright.convert("RGB"))


def _from_array(array: NDArray) -> NDArray[np.uint8]:
    if array.dtype.kind == "f":
        if array.size and not (array.min() >= 0 and array.max() <= 1):
            raise InputError(f"float image holds {array.min():g}..{array.max():g}: expected values in 0..1")
        array = np.rint(array * 255).astype(np.uint8)
    elif array.dtype in (np.uint16, np.int32, np.uint32):  # PIL opens 16-bit grey as int32
        array = np.clip(np.rint(array.astype(np.float64) / 257), 0, 255).astype(np.uint8)
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or 0 in array.shape:
        raise InputError(f"image array is {array.dtype} of shape {array.shape}: expected (H, W, 3) uint8 RGB")
    channels = 1 if array.ndim == 2 else array.shape[2]
    if channels == 1:
        return np.repeat(array.reshape(*array.shape[:2], 1), 3, axis=2)
    if channels == 4:
        return _to_rgb(Image.fromarray(array, "RGBA"))
    if channels != 3:
        raise InputError(f"image array has {channels} channels: expected 1, 3 or 4")
    return np.ascontiguousarray(array)


def to_square(image: NDArray[np.uint8], size: int, resize: str) -> torch.Tensor:
    """(H, W, 3) uint8 -> (3, size, size) float32 in [0, 1], bilinear ("opencv" or "torch") or "nearest"."""
    unit = image.astype(np.float32) / 255
    if resize == "opencv":
        return torch.from_numpy(cv2.resize(unit, (size, size))).permute(2, 0, 1)
    channels_first = torch.from_numpy(unit).permute(2, 0, 1)[None]
    if resize == "nearest":
        return F.interpolate(channels_first, (size, size), mode="nearest")[0]
    return F.interpolate(channels_first, (size, size), mode="bilinear", align_corners=False)[0]
