"""Stand-ins for what segments rows in the actors of `iseg label`."""

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from iseg.errors import InputError
from iseg.label import rows
from iseg.label.actor import Fetched, ImageRows


class NullRows:
    """No image is read and no model loaded. What happens to an image is in its uri.

    "bad": it fails. "kill FILE": its actor is killed while there is no FILE. "stop": all work ends. "wait S": seconds.
    """

    def __init__(self, *_: Any) -> None:
        pass

    def fetch(self, row: Mapping[str, Any]) -> Fetched:
        return Fetched(b"\xff\xd8" + str(row["id"]).encode())

    def row(self, row: Mapping[str, Any], fetched: Fetched) -> dict[str, Any]:
        what, _, about = row["uri"].partition(" ")
        if what == "stop":
            raise InputError("nothing can be done at all")
        if what == "wait":
            time.sleep(float(about))
        if what == "kill" and not Path(about).exists():
            Path(about).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "bad":
            return rows.empty(str(row["id"]), "this one is bad", [2, 3])
        return {**rows.empty(str(row["id"]), None, [2, 3]), "classes": ["cat"], "scores": [0.5], "rle": ["06"],
                "seconds": 0.0}  # fmt: skip


class ReadRows(ImageRows):
    """The images are read, and their prompts; the row says what was seen."""

    def row(self, row: Mapping[str, Any], fetched: Fetched) -> dict[str, Any]:
        if fetched.image is None:
            return rows.empty(str(row["id"]), fetched.error)
        size = [int(side) for side in fetched.image.shape[:2]]
        try:
            said = str(self._prompt(row).described())
        except InputError as error:
            return rows.empty(str(row["id"]), str(error), size)
        return {**rows.empty(str(row["id"]), None, size), "classes": [said], "scores": [None], "rle": [""]}
