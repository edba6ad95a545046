"""Signals: Ctrl-C ends the work at once, SIGTERM after the file at hand; neither cuts a result in two."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stop:
    """Whether the work is to end.

    Attributes:
        asked: SIGTERM has come; a second one ends the work like Ctrl-C.
    """

    def __init__(self) -> None:
        self.asked = False
        self._writing = self._interrupted = False

    @contextmanager
    def listening(self) -> Iterator["Stop"]:
        """A block in which the two signals come here; outside the main thread they cannot."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        signal.signal(signal.SIGINT, self._interrupt)
        signal.signal(signal.SIGTERM, self._terminate)
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """A block that Ctrl-C ends only at its end."""
        self._writing = True
        try:
            yield
        finally:
            self._writing = False
        if self._interrupted:
            raise KeyboardInterrupt

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self._interrupted = True
        if not self._writing:
            raise KeyboardInterrupt

    def _terminate(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            self._interrupt(number, frame)
        self.asked = True
