"""Images one after another, a line about each; one that cannot be used stops nothing."""

import sys
from collections.abc import Callable, Sequence

from tqdm import tqdm

from iseg.data.items import Item
from iseg.errors import InputError

FAILED = 1


def each_image(items: Sequence[Item], segment: Callable[[Item], str]) -> int:
    """Print what `segment` says of each image, or its InputError on stderr. Returns the exit code: 1 if some failed."""
    code = 0
    for item in tqdm(items, unit="image", disable=len(items) < 3 or not sys.stderr.isatty()):
        try:
            print(segment(item))
        except InputError as error:
            code = FAILED
            message = str(error)
            place = "" if message.startswith(str(item.image)) else f"{item.image}: "
            print(f"error: {place}{message}", file=sys.stderr)
    return code
