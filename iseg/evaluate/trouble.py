"""What ends a run: errors of the code, not of an image or of memory (`iseg.work.trouble`)."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from iseg.errors import InputError
from iseg.work.attempt import reason
from iseg.work.trouble import LOG, keep_trace


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
        path, trace = folder / LOG, traceback.format_exc()
        try:
            keep_trace(path)
            where = f"the trace is in {path}"
        except InputError as unwritten:
            where = f"{unwritten}; the trace:\n{trace}"
        kind = type(error).__name__
        raise CodeError(f"the run ended with {kind}: {reason(error)[:200]}; what is done is kept; {where}") from error
