"""What ends a run: errors of the code, not of an image (`UNREADABLE`) or of memory (`iseg.attempt`)."""

import struct
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
from PIL import Image

from iseg.attempt import reason
from iseg.errors import InputError
from iseg.files.export import write_bytes

LOG = "error.log"
# What decoders raise on broken files. TypeError, AttributeError, AssertionError, NameError are the code's.
UNREADABLE = (
    InputError,
    MemoryError,
    OSError,
    EOFError,
    SyntaxError,
    ValueError,
    LookupError,
    ArithmeticError,
    RuntimeError,
    struct.error,
    cv2.error,
    Image.DecompressionBombError,
)


class CodeError(Exception):
    """A run ended by an error of the code or the device, not of an image; its one line says where the trace lies."""


@contextmanager
def logged(folder: Path) -> Iterator[None]:
    """Write the trace of what is no InputError to FOLDER/error.log and raise CodeError with one line instead."""
    try:
        yield
    except (InputError, CodeError):
        raise
    except Exception as error:
        trace = traceback.format_exc()
        path = folder / LOG
        try:
            write_bytes(path, trace.encode())
            where = f"the trace is in {path}"
        except InputError as unwritten:
            where = f"{unwritten}; the trace:\n{trace}"
        kind = type(error).__name__
        raise CodeError(f"the run ended with {kind}: {reason(error)[:200]}; what is done is kept; {where}") from error
