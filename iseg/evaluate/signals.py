"""Ctrl-C and SIGTERM: a run ends with one line, after the work at hand."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
FIRST = "finished first and all that is done is kept (once more: at once)"


class Ended(KeyboardInterrupt):
    """A signal ended the run.

    Attributes:
        code: the exit code, 128 + the signal's number.
        line: what there is to say about it; empty where it was said before.
    """

    def __init__(self, number: int, said: bool = False) -> None:
        super().__init__(number)
        self.code = 128 + number
        self.line = "" if said else WORDS[signal.Signals(number)]


class Asked:
    """What `finish_first` was told meanwhile: the signal's number, or None."""

    number: int | None = None

    def obey(self) -> None:
        """Raises Ended if a signal came."""
        if self.number is not None:
            raise Ended(self.number, said=True)


@contextmanager
def end_at_once() -> Iterator[None]:
    """Inside the block a signal raises Ended where it is met."""

    def end(number: int, _: Any) -> None:
        raise Ended(number)

    with _handled(end):
        yield


@contextmanager
def finish_first(show: bool = True, work: str = "the images at hand are") -> Iterator[Asked]:
    """Inside the block a signal is noted, to be obeyed when the work at hand is done; a second one raises Ended.

    show: say so on stderr; of several processes one is enough. work: what is finished.
    """
    asked = Asked()

    def note(number: int, _: Any) -> None:
        if asked.number is not None:
            raise Ended(number)
        asked.number = number
        if show:  # print would not do: the signal may have come in the middle of one
            break_bar = "\n" if sys.stderr.isatty() else ""
            os.write(2, f"{break_bar}{WORDS[signal.Signals(number)]}: {work} {FIRST}\n".encode())

    with _handled(note):
        yield asked


@contextmanager
def _handled(handler: Callable[[int, Any], None]) -> Iterator[None]:
    """The two signals go to `handler`; those that are ignored (nohup, a job in the background) stay so."""
    if threading.current_thread() is not threading.main_thread():  # only the main one may
        yield
        return
    earlier = {number: signal.getsignal(number) for number in WORDS}
    for number, before in earlier.items():
        if before != signal.SIG_IGN:
            signal.signal(number, handler)
    try:
        yield
    finally:
        for number, before in earlier.items():
            signal.signal(number, signal.SIG_DFL if before is None else before)
