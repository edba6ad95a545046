"""What the command prints: one cleaned line at a time, and a reader who is gone stops nothing."""

import os
import sys
from typing import TextIO

from tqdm import tqdm

from iseg.errors import InputError, printable


def say(line: str, error: bool = False) -> None:
    """Print a line to stdout, or to stderr. Where it cannot be written the rest of the output is dropped.

    Results are files: a closed pipe (`| head -1`) ends the talk, not the work. A full disk is told once on stderr.
    """
    stream = sys.stderr if error else sys.stdout
    text = line[: len(line) - len(line.lstrip(" "))] + printable(line)
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        tqdm.write(text.encode(encoding, "backslashreplace").decode(encoding), file=stream)  # leaves a bar whole
        stream.flush()
    except (OSError, ValueError) as failure:  # ValueError: closed
        hush(stream)
        if not error and not isinstance(failure, BrokenPipeError | ValueError):
            say(
                f"note: stdout cannot be written: {getattr(failure, 'strerror', failure)}; the work goes on", error=True
            )


def hush(stream: TextIO) -> None:
    """Send what is left in a stream, and all that follows, nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, stream.fileno())
    except (OSError, ValueError):  # a stream without a descriptor, or a closed one
        name = "stderr" if stream is sys.stderr else "stdout"
        setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115  # for the rest of the process
    finally:
        os.close(nowhere)


def flush() -> None:
    """Write out what was printed. Raises InputError where stdout takes no more; a reader who is gone is no error."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        hush(sys.stdout)
    except OSError as error:
        hush(sys.stdout)
        raise InputError(f"stdout cannot be written: {error.strerror}") from None
