"""What the server remembers: a cache bounded in bytes, whose image is whose, whose request is the latest."""

import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

from iseg.errors import InputError

TOKEN = re.compile(r"[0-9a-f]{32}")
IMAGES_PER_PERSON = 8
PEOPLE = 1000


class ImageGone(InputError):
    """The server no longer has an image."""


class Superseded(InputError):
    """A later request of the same person took the place of this one."""


class ByteCache:
    """Least recently used values, bounded by the bytes they hold. Sizes are asked anew: values may grow."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self._entries: OrderedDict[Hashable, tuple[Any, Callable[[Any], int]]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> Any | None:
        """The value of a key, which is now the most recently used; None if it is not there."""
        with self._lock:
            if key not in self._entries:
                return None
            self._entries.move_to_end(key)
            return self._entries[key][0]

    def put(self, key: Hashable, value: Any, size: Callable[[Any], int]) -> None:
        """Keep a value whose bytes `size(value)` tells; the least recently used others go when it gets too much."""
        with self._lock:
            self._entries[key] = (value, size)
            self._entries.move_to_end(key)
            self._trim()

    def trim(self) -> None:
        """Drop the least recently used until the rest fits; the most recent one always stays."""
        with self._lock:
            self._trim()

    def _trim(self) -> None:
        total = self._bytes()
        while total > self.limit and len(self._entries) > 1:
            _, (value, size) = self._entries.popitem(last=False)
            total -= size(value)

    @property
    def nbytes(self) -> int:
        """Bytes held by all values."""
        with self._lock:
            return self._bytes()

    def _bytes(self) -> int:
        return sum(size(value) for value, size in self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)


class People:
    """Which images a person (a page with a random token) may use, and the number of the person's latest request."""

    def __init__(self) -> None:
        self._images: OrderedDict[str, OrderedDict[str, str]] = OrderedDict()
        self._turns: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._lock = threading.Lock()

    def own(self, token: str, image_id: str, name: str) -> None:
        """Let a person use an image, under the name the person gave it."""
        with self._lock:
            mine = self._images.setdefault(token, OrderedDict())
            mine[image_id] = name
            mine.move_to_end(image_id)
            self._images.move_to_end(token)
            while len(mine) > IMAGES_PER_PERSON:
                mine.popitem(last=False)
            while len(self._images) > PEOPLE:
                self._images.popitem(last=False)

    def name_of(self, token: str, image_id: str) -> str:
        """The name of a person's image. Raises ImageGone for an image that is not this person's."""
        with self._lock:
            mine = self._images.get(token)
            name = mine.get(image_id) if mine else None
        if name is None:
            raise ImageGone("the server no longer has this image: load it again")
        return name

    def begin(self, token: str, slot: str) -> Callable[[], None]:
        """Start a request; the returned check raises Superseded once a later one has begun in the same slot."""
        key = (token, slot)
        with self._lock:
            turn = self._turns[key] = self._turns.get(key, 0) + 1
            self._turns.move_to_end(key)
            while len(self._turns) > 50 * PEOPLE:
                self._turns.popitem(last=False)

        def check() -> None:
            if self._turns.get(key, turn) != turn:
                raise Superseded("a later request took the place of this one")

        return check


def valid_token(token: object) -> str:
    """A page's token. Raises InputError unless it is 32 hexadecimal digits."""
    if not isinstance(token, str) or not TOKEN.fullmatch(token):
        raise InputError("the request has no valid token: reload the page")
    return token
