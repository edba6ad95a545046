"""A parser of the standard library whose errors are InputErrors."""

import argparse
from typing import NoReturn

from iseg.errors import InputError


class LineParser(argparse.ArgumentParser):
    """Raises InputError where argparse prints the usage and exits."""

    def error(self, message: str) -> NoReturn:
        raise InputError(message)
