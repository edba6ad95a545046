"""Images one after another, a line about each; one that cannot be used stops nothing."""

import sys
from collections.abc import Callable, Sequence
from functools import partial

from tqdm import tqdm

from iseg.data.items import Item
from iseg.work.trouble import Failure, made_or_failure

FAILED = 1


def each_image(items: Sequence[Item], segment: Callable[[Item], str]) -> int:
    """Print what `segment` says of each image, or its InputError on stderr. Returns the exit code: 1 if some failed."""
    code = 0
    for item in tqdm(items, unit="image", disable=len(items) < 3 or not sys.stderr.isatty()):
        said = made_or_failure(partial(segment, item))
        if isinstance(said, Failure):
            code = FAILED
            print(f"error: {said.of(str(item.image))}", file=sys.stderr)
        else:
            print(said)
    return code
