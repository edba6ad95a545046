"""What people send -> upright RGB arrays, or one clear line. Nothing is written to disk and no path is opened."""

import hashlib
import io
import struct

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from iseg.errors import InputError
from iseg.files.images import read_image
from iseg.page.settings import MEGA, UiSettings

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")  # by content; a file's name says nothing
PREVIEW_QUALITY = 92


def decode(data: bytes, settings: UiSettings) -> NDArray[np.uint8]:
    """Bytes of an image file -> (H, W, 3) uint8 RGB, upright.

    The type is found from the content; the size is read from the header and checked before anything is decoded, so
    that a small file cannot unfold into a huge image. Raises InputError.
    """
    if len(data) > settings.max_upload_mb * MEGA:
        raise InputError(
            f"the file has {len(data) / MEGA:.1f} MB: expected at most {settings.max_upload_mb:g} MB; save it smaller"
        )
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
            width, height = opened.size
            if width * height > settings.max_megapixels * MEGA:
                raise _too_large(f"{width} x {height} pixels", settings)
            return read_image(opened)
    except InputError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_large("far too many pixels", settings) from None
    except UnidentifiedImageError:
        raise InputError(f"the file is not an image: expected {', '.join(FORMATS)}") from None
    except (OSError, ValueError, SyntaxError, EOFError, struct.error, MemoryError) as error:
        raise InputError(f"the image is corrupt: {error}") from None


def _too_large(found: str, settings: UiSettings) -> InputError:
    return InputError(f"the image has {found}: expected at most {settings.max_megapixels:g} megapixels; scale it down")


def image_id(image: NDArray[np.uint8]) -> str:
    """Name of an image by its pixels (H, W, 3) uint8: 32 hexadecimal digits."""
    digest = hashlib.sha256(repr(image.shape).encode())
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()[:32]


def view_size(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """The (H, W) at which the browser draws an image of size (H, W): its own, or scaled to `longest` pixels."""
    height, width = size
    scale = min(1.0, longest / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def preview(image: NDArray[np.uint8], size: tuple[int, int], lossless: bool = False) -> bytes:
    """(H, W, 3) uint8 -> WebP bytes at `size` = (H, W)."""
    height, width = size
    picture = Image.fromarray(image)
    if picture.size != (width, height):
        picture = picture.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=2.0)
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=PREVIEW_QUALITY, method=0, lossless=lossless)
    return buffer.getvalue()
