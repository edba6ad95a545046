"""One image at work: want of memory told from other trouble, and maps that are not finite tried once more."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import cv2

from iseg.backbones.seam import Backbone
from iseg.errors import InputError, NotFinite

Result = TypeVar("Result")

# What libraries raise where memory ends; torch's own exceptions are RuntimeErrors.
NO_MEMORY = (
    "out of memory",
    "not enough memory: you tried to allocate",
    "defaultcpuallocator",
    "alloc_failed",  # cuBLAS, cuDNN
    "insufficient memory",  # OpenCV
)


class NoMemory(InputError):
    """Memory, the machine's or a device's, did not suffice."""


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


def attempt(backbone: Backbone, work: Callable[[], Result], again: bool = True) -> Result:
    """What `work` gives; if an image's maps are not finite it is done once more in float32, unless not `again`.

    Raises NoMemory, NotFinite and whatever else `work` does.
    """
    try:
        with memory_checked():
            return work()
    except NotFinite:
        if not again:
            raise
    with memory_checked(), backbone.widened():
        return work()
