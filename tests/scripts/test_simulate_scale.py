"""The job played through: no faster than any of its parts, and what can be counted by hand."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.simulate_scale import Job, held_up_by, play, table

NOTHING = Job(1.0, 0.0, 0.0, 4, 8.0, 8, 0.0, math.inf, 0.0, 1.0)  # but the GPU


def test_gpus_alone_take_what_they_take():
    assert play(NOTHING, 1, 40) == pytest.approx(1.0)
    assert play(NOTHING, 16, 40) == pytest.approx(16.0)


def test_what_can_be_counted_by_hand():
    # every batch of 8 waits for its first image once, and for the driver
    slow = replace(NOTHING, fetch_seconds=0.5, head_seconds=0.25)
    assert play(slow, 1, 40) == pytest.approx(40 / (5 * (8 + 0.5 + 0.25)))
    # four readers, each with an image in 10 seconds, do less than the GPU
    assert play(replace(NOTHING, fetch_seconds=10.0, batch=40), 1, 40) == pytest.approx(
        40 / (10 * 10 + 1 + 3), rel=0.05
    )
    # the store sends one image a second to everybody together
    assert play(replace(NOTHING, store_rate=1.0), 8, 40) == pytest.approx(1.0, rel=0.05)
    # the driver hands out one batch of 8 a second
    assert play(replace(NOTHING, gpu_seconds=0.01, head_seconds=1.0), 64, 80) == pytest.approx(8.0, rel=0.05)
    assert play(replace(NOTHING, row_seconds=3.0), 1, 40) == pytest.approx(1 / 3)


@settings(max_examples=40, deadline=None)
@given(
    st.builds(
        Job,
        gpu_seconds=st.floats(0.01, 2),
        fetch_seconds=st.floats(0, 1),
        decode_seconds=st.floats(0, 0.1),
        readers=st.integers(1, 8),
        cores=st.floats(1, 8),
        batch=st.integers(1, 20),
        head_seconds=st.floats(0, 0.1),
        store_rate=st.floats(1, 1000),
        row_seconds=st.floats(0, 0.1),
    ),
    st.integers(1, 12),
)
def test_no_faster_than_any_part_alone(job, actors):
    rate = play(job, actors, 30)
    assert rate <= actors / job.gpu_seconds * (1 + 1e-9)
    assert rate <= job.store_rate * 1.05 or actors * 30 < 40  # the first request waits for nobody
    assert not job.head_seconds or rate <= job.batch / job.head_seconds * (1 + 1e-9)
    assert not job.fetch_seconds or rate <= actors * job.readers / job.fetch_seconds * (1 + 1e-9)
    assert play(job, actors, 30) == rate


def test_the_table_says_what_holds_the_job_up():
    assert held_up_by(NOTHING, 2, play(NOTHING, 2)) == "GPUs"
    narrow = replace(NOTHING, store_rate=4.0)
    assert held_up_by(narrow, 8, play(narrow, 8)) == "store"
    lines = table(NOTHING, 2.0, (1, 4)).splitlines()
    assert [line.split("|")[4].strip() for line in lines[2:]] == ["GPUs", "GPUs"]
    assert "69.4 h, 556" in lines[-1]
