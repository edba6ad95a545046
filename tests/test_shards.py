"""Shares of a run: every name is in one of them, on every machine the same."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iseg.errors import InputError
from iseg.shards import in_shard, parse_shard


@settings(deadline=None)
@given(st.text("aé/_1\udce9", max_size=9) | st.text(), st.integers(1, 50))
def test_each_name_is_in_one_share(name, count):
    assert sum(in_shard(name, index, count) for index in range(1, count + 1)) == 1


def test_shares_are_the_same_everywhere():
    names = [f"2007_{k:06d}" for k in range(8)]
    assert [next(i for i in (1, 2, 3) if in_shard(name, i, 3)) for name in names] == [1, 1, 1, 2, 1, 1, 2, 3]
    assert [in_shard(name, 1, 2) for name in ("cat", "dog", "2007_000001", "a/b")] == [False, True, True, False]


def test_shares_are_of_about_one_size():
    names = [f"image{number}" for number in range(4000)]
    sizes = [sum(in_shard(name, index, 8) for name in names) for index in range(1, 9)]
    assert all(430 < size < 570 for size in sizes)


def test_a_share_is_read():
    assert parse_shard("2/8") == (2, 8)
    assert parse_shard(" 2/3 ") == (2, 3)
    assert parse_shard(" 8 / 8 ") == (8, 8)


@pytest.mark.parametrize("text", ["", "1", "0/2", "3/2", "1/0", "a/b", "-1/2", "1/2/3", "1.0/2", None, "\u0661/\u0662"])
def test_what_is_no_share(text):
    with pytest.raises(InputError, match="expected I/N"):
        parse_shard(text)
