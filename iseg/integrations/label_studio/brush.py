"""Label Studio's brush masks: the run lengths of an RGBA image, packed into bits.

A header holds the number of values (32 bits), the bits of a value less one (5) and four sizes of run lengths less one
(4 each). Then for each run: 1, the index of its size (2 bits), its length less one, its value.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

SIZES = (3, 4, 8, 16)  # bits of a run's length
LONGEST = 1 << SIZES[-1]
CHANNELS, OPAQUE = 4, 255


def encode_brush(region: NDArray[np.bool_]) -> list[int]:
    """A region (H, W) -> the bytes of Label Studio's `rle`: all four channels are 255 inside and 0 outside."""
    flat = region.ravel()
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    starts = np.concatenate([[0], edges])
    lengths = np.diff(np.concatenate([starts, [flat.size]])) * CHANNELS
    parts = [f"{flat.size * CHANNELS:032b}", f"{8 - 1:05b}", *(f"{size - 1:04b}" for size in SIZES)]
    for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
        value = f"{OPAQUE if flat[start] else 0:08b}"
        parts += [f"{_run(part)}{value}" for part in _split(length)]
    text = "".join(parts)
    text += "0" * (8 - len(text) % 8)  # a whole byte more where it is full, as Label Studio writes it
    return list(int(text, 2).to_bytes(len(text) // 8, "big"))


def decode_brush(rle: list[int], size: tuple[int, int]) -> NDArray[np.uint8]:
    """The bytes of an `rle` -> the last channel (H, W) of the image, its opacity: 0..255. size: (H, W)."""
    text = "".join(f"{byte:08b}" for byte in rle)
    place = 0

    def read(bits: int) -> int:
        nonlocal place
        place += bits
        return int(text[place - bits : place], 2)

    count, word = read(32), read(5) + 1
    sizes = [read(4) + 1 for _ in range(4)]
    values, done = np.zeros(count, np.uint8), 0
    while done < count:
        repeated = read(1)
        length = read(sizes[read(2)]) + 1
        if repeated:
            values[done : done + length] = read(word)
        else:
            values[done : done + length] = [read(word) for _ in range(length)]
        done += length
    return values.reshape(*size, CHANNELS)[..., -1]


def _split(length: int) -> Iterator[int]:
    """A run in parts that the longest size holds."""
    while length > LONGEST:
        yield LONGEST
        length -= LONGEST
    yield length


def _run(length: int) -> str:
    """The bits of a run up to its value."""
    index = next(k for k, size in enumerate(SIZES) if length <= 1 << size)
    return f"1{index:02b}{length - 1:0{SIZES[index]}b}"
