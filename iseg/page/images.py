"""The images that the server keeps, with what was computed of them, within a bound of bytes."""

import threading
from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

from iseg.page.people import ImageGone
from iseg.state import ImageState

KEPT_PASSES = 1000  # of one image; bytes are what bounds them


class Images:
    """Image states by name. When they hold too much, the least recently used image's passes go first, then itself."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self._states: OrderedDict[str, ImageState] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, name: str, pixels: NDArray[np.uint8]) -> None:
        """Keep an image (H, W, 3); one that is kept already stays as it is."""
        with self._lock:
            self._states.setdefault(name, ImageState(pixels, KEPT_PASSES))
            self._states.move_to_end(name)
        self.trim()

    def get(self, name: str) -> ImageState:
        """A kept image, which is now the most recently used. Raises ImageGone if it had to make room."""
        with self._lock:
            if name not in self._states:
                raise ImageGone("the server no longer has this image: load it again")
            self._states.move_to_end(name)
            return self._states[name]

    def forget(self) -> None:
        """Drop all that a model computed; the images stay."""
        with self._lock:
            for state in self._states.values():
                state.forget()

    def trim(self) -> None:
        """Drop what was used least recently until the rest fits; the last image and its last pass stay."""
        with self._lock:
            while len(self._states) > 1 and self._bytes() > self.limit:
                name, oldest = next(iter(self._states.items()))
                if not oldest.forget_oldest():
                    del self._states[name]
            last = next(reversed(self._states.values()), None)
            while last is not None and last.kept > 1 and self._bytes() > self.limit:
                last.forget_oldest()

    @property
    def nbytes(self) -> int:
        """Bytes held by all images."""
        with self._lock:
            return self._bytes()

    def _bytes(self) -> int:
        return sum(state.nbytes for state in self._states.values())

    def __len__(self) -> int:
        return len(self._states)
