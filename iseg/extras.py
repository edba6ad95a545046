"""Packages that only some commands need."""

from importlib import import_module
from typing import Any

from iseg.errors import InputError


def import_extra(module: str, extra: str, what: str) -> Any:
    """An optional module. Raises InputError that says which extra brings it if `what` is asked for without it."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise InputError(f"{what} needs {error.name}: install it with pip install 'iseg[{extra}]'") from None
