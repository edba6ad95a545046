"""What is wrong with an image, told in one line, apart from what will stop every other image too."""

import struct
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import cv2
from PIL import Image

from iseg.errors import InputError
from iseg.files.export import write_bytes
from iseg.work.attempt import NoMemory, memory_checked, reason

Result = TypeVar("Result")

LOG = "error.log"
MOST_IN_A_ROW = 10
# What decoders raise on broken files. TypeError, AttributeError, AssertionError, NameError are the code's.
UNREADABLE: tuple[type[Exception], ...] = (
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


@dataclass(frozen=True)
class Failure:
    """Why an image has no result.

    Attributes:
        reason: on one line.
        memory: whether memory did not suffice.
    """

    reason: str
    memory: bool = False

    def of(self, name: str) -> str:
        """The line with the image's name in it."""
        return self.reason if name in self.reason else f"{name}: {self.reason}"


def read_or_failure(
    read: Callable[[], Result], errors: type[Exception] | tuple[type[Exception], ...] = UNREADABLE
) -> Result | Failure:
    """What `read` gives, or why an image cannot be read. What is none of `errors` is raised."""
    try:
        return read()
    except errors as error:
        return Failure(reason(error))


def made_or_failure(work: Callable[[], Result]) -> Result | Failure:
    """What `work` gives, or what an image or memory is to blame for; anything else is raised."""
    try:
        with memory_checked():
            return work()
    except InputError as error:
        return Failure(reason(error), isinstance(error, NoMemory))


def keep_trace(path: Path) -> None:
    """Write the trace of the exception at hand. Raises InputError where the disk does not take it."""
    write_bytes(path, traceback.format_exc().encode(errors="backslashreplace"))


class InARow:
    """Counts failures one after another that are no image's fault: after `MOST_IN_A_ROW` the next will fail, too."""

    def __init__(self) -> None:
        self.count = 0

    def add(self, failed: bool) -> bool:
        """Count what became of an image. Returns whether it is time to stop."""
        self.count = self.count + 1 if failed else 0
        return self.count == MOST_IN_A_ROW
