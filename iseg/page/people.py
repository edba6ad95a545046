"""Whose image is whose, and whose request is the latest."""

import re
import threading
from collections import OrderedDict
from collections.abc import Callable

from iseg.errors import InputError

Check = Callable[[], None]  # raises Superseded once a request is no longer wanted

TOKEN = re.compile(r"[0-9a-f]{32}")
IMAGES_PER_PERSON = 64
PEOPLE = 1000


class ImageGone(InputError):
    """The server no longer has an image."""


class Superseded(InputError):
    """A later request of the same person took the place of this one."""


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

    def begin(self, token: str, slot: str) -> Check:
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
