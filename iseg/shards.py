"""A split of images by their names into N shards that needs no talk between the processes that work on them."""

import hashlib
import re

from iseg.errors import InputError, echo


def parse_shard(text: str) -> tuple[int, int]:
    """ "2/8" -> (2, 8): which shard, counted from 1, of how many. Raises InputError for anything else."""
    match = re.fullmatch(r"\s*(\d{1,9})\s*/\s*(\d{1,9})\s*", text, re.ASCII) if isinstance(text, str) else None
    index, count = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= index <= count:
        raise InputError(f"shard {echo(text)}: expected I/N with I from 1 to N, e.g. 1/8 for the first of eight")
    return index, count


def in_shard(name: str, index: int, count: int) -> bool:
    """Whether an image of this name belongs to shard `index` (from 1) of `count`; the same on every machine.

    A shard holds about 1/count of the images (by SHA-256 of the name), in no order.
    """
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") % count == index - 1
