"""Shares of a run: every name is in one of them, on every machine the same."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iseg.errors import InputError
from iseg.shards import in_shard, parse_shard


@settings(deadline=None)
@given(st.text("aé/_1\udce9", max_size=9), st.integers(1, 9))
def test_each_name_is_in_one_share(name, count):
    assert sum(in_shard(name, index, count) for index in range(1, count + 1)) == 1


def test_shares_are_the_same_everywhere():
    names = [f"2007_{k:06d}" for k in range(8)]
    assert [next(i for i in (1, 2, 3) if in_shard(name, i, 3)) for name in names] == [1, 1, 1, 2, 1, 1, 2, 3]
    assert parse_shard(" 2/3 ") == (2, 3)


@pytest.mark.parametrize("text", ["", "1", "0/2", "3/2", "1/0", "a/b", "-1/2", "1/2/3", "1.0/2"])
def test_what_is_no_share(text):
    with pytest.raises(InputError, match="expected I/N"):
        parse_shard(text)
