"""One run dealt to several machines by the names of its images: every machine finds its share alone."""

import re
import zlib

from iseg.errors import InputError, echo


def parse_shard(text: str) -> tuple[int, int]:
    """ "I/N", the I-th of N shares, counted from 1 -> (I, N). Raises InputError for anything else."""
    found = re.fullmatch(r"([1-9]\d{0,5})/([1-9]\d{0,5})", text.strip())
    if found is None or int(found[1]) > int(found[2]):
        raise InputError(f"shard is {echo(text)}: expected I/N, the I-th of N shares, e.g. 1/4")
    return int(found[1]), int(found[2])


def in_shard(name: str, index: int, count: int) -> bool:
    """Whether an image of that name is in the share `index` (1..count): by a hash that is the same everywhere."""
    return zlib.crc32(name.encode("utf-8", "surrogateescape")) % count == index - 1
