"""Requests that never raise: every failure becomes a text that people can read and a code that the page knows."""

import secrets
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from iseg.errors import InputError
from iseg.page.engine import NotReady
from iseg.page.folder import Changed
from iseg.page.people import ImageGone, Superseded

Request = Mapping[str, Any]
Answer = dict[str, Any]

CODES: tuple[tuple[type[Exception], str], ...] = (
    (ImageGone, "image_gone"),
    (Superseded, "superseded"),
    (NotReady, "loading"),
    (Changed, "changed"),
    (InputError, "input"),
)


def answered(method: Callable[[Request], Answer]) -> Callable[[Request], Answer]:
    """A request as a function of the same name that never raises and never tells a trace."""

    def function(request: Request) -> Answer:
        try:
            if not isinstance(request, Mapping):
                raise InputError("the request is not a mapping")
            return {"ok": True, **method(request)}
        except InputError as error:
            code = next(code for kind, code in CODES if isinstance(error, kind))
            return {"ok": False, "error": str(error), "code": code}
        except Exception:
            reference = secrets.token_hex(4)
            print(f"internal error {reference}:", file=sys.stderr)
            traceback.print_exc()
            error_text = f"something went wrong on the server (reference {reference})"
            return {"ok": False, "error": error_text, "code": "internal"}

    function.__name__ = method.__name__
    return function
