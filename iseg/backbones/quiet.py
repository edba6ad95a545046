"""Loading weights without the bars and notes of the libraries that read them."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from threading import RLock
from typing import Any

_LOCK = RLock()  # two blocks that overlap would restore each other's silence


@contextmanager
def quiet(*libraries: str) -> Iterator[None]:
    """A block in which "diffusers" and "transformers" show no bar and tell nothing but errors.

    Afterwards they do as before. Downloads keep their bars: the libraries' own switch would take those of the hub's
    client too, hence the flag behind it. One thread at a time; others wait.
    """
    with _LOCK, ExitStack() as undo:
        for library in libraries:
            switches: Any = import_module(f"{library}.utils.logging")
            logger = logging.getLogger(library)
            undo.callback(setattr, switches, "_tqdm_active", switches._tqdm_active)
            undo.callback(logger.setLevel, logger.level)
            switches._tqdm_active = False
            logger.setLevel(max(logger.level, logging.ERROR))
        yield
