"""Label Studio's brush masks against a reader of the format that goes bit by bit, and against hand-made streams."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from iseg.integrations.label_studio.brush import decode_brush, encode_brush

regions = st.tuples(st.integers(1, 30), st.integers(1, 30)).flatmap(lambda size: arrays(np.bool_, size))


def read_bit_by_bit(rle: list[int]) -> list[int]:
    """All values of an `rle`: header, then runs of one value or of values of their own."""
    bits = iter([byte >> (7 - place) & 1 for byte in rle for place in range(8)])

    def number(count: int) -> int:
        value = 0
        for _ in range(count):
            value = 2 * value + next(bits)
        return value

    total, word = number(32), number(5) + 1
    sizes = [number(4) + 1, number(4) + 1, number(4) + 1, number(4) + 1]
    values: list[int] = []
    while len(values) < total:
        same = next(bits)
        length = number(sizes[number(2)]) + 1
        if same:
            values += [number(word)] * length
        else:
            values += [number(word) for _ in range(length)]
    assert len(values) == total
    return values


def write_bit_by_bit(values: list[int], literal: int) -> list[int]:
    """An `rle` whose runs are `literal` values each with its own value, as other writers make them."""
    bits = f"{len(values):032b}" + f"{7:05b}" + "".join(f"{size - 1:04b}" for size in (3, 4, 8, 16))
    for start in range(0, len(values), literal):
        run = values[start : start + literal]
        bits += "0" + "10" + f"{len(run) - 1:08b}" + "".join(f"{value:08b}" for value in run)
    bits += "0" * (-len(bits) % 8)
    return [int(bits[place : place + 8], 2) for place in range(0, len(bits), 8)]


@given(regions)
@settings(max_examples=60, deadline=None)
def test_what_is_written_reads_as_four_channels(region):
    rle = encode_brush(region)
    assert all(0 <= byte <= 255 for byte in rle)
    assert read_bit_by_bit(rle) == np.repeat(region.ravel() * 255, 4).tolist()
    assert np.array_equal(decode_brush(rle, region.shape), region * np.uint8(255))


@given(arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9))), st.integers(1, 256))
@settings(max_examples=40, deadline=None)
def test_any_opacity_and_any_run_is_read(opacity, literal):
    values = np.zeros((*opacity.shape, 4), np.uint8)
    values[..., 3] = opacity
    rle = write_bit_by_bit(values.ravel().tolist(), literal)
    assert read_bit_by_bit(rle) == values.ravel().tolist()
    assert np.array_equal(decode_brush(rle, opacity.shape), opacity)


@pytest.mark.parametrize("size", [(1, 16384), (128, 129), (257, 300)])  # runs of 65536 values, and of more
@pytest.mark.parametrize("inside", [True, False])
def test_runs_longer_than_a_length_holds_are_split(size, inside):
    region = np.full(size, inside)
    region[-1, -1] = True
    rle = encode_brush(region)
    assert len(rle) < 60
    assert np.array_equal(decode_brush(rle, size) == 255, region)
