"""Whose trouble an exception is: one image's, the memory's, or the code's, which ends a run."""

import struct
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
from PIL import Image

from iseg.errors import InputError
from iseg.files.export import write_bytes

LOG = "error.log"
# What libraries raise where memory ends; torch's own exceptions are RuntimeErrors.
NO_MEMORY = (
    "out of memory",
    "not enough memory: you tried to allocate",
    "defaultcpuallocator",
    "alloc_failed",  # cuBLAS, cuDNN
    "insufficient memory",  # OpenCV
)
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


class NoMemory(InputError):
    """Memory, the machine's or a device's, did not suffice."""


class CodeError(Exception):
    """A run ended by an error of the code or the device, not of an image; its one line says where the trace lies."""


def out_of_memory(error: Exception) -> bool:
    """Whether an exception says that memory, the machine's or a device's, did not suffice."""
    if isinstance(error, MemoryError):
        return True
    message = str(error).lower()
    return isinstance(error, (RuntimeError, cv2.error)) and any(phrase in message for phrase in NO_MEMORY)


def reason(error: Exception) -> str:
    """An exception on one line."""
    said = " ".join(str(error).split())
    return said or ("not enough memory" if isinstance(error, MemoryError) else type(error).__name__)


@contextmanager
def memory_checked() -> Iterator[None]:
    """Whatever a library raises inside the block for want of memory is NoMemory."""
    try:
        yield
    except (MemoryError, RuntimeError, cv2.error) as error:
        if not out_of_memory(error):
            raise
        raise NoMemory(reason(error)) from None


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
