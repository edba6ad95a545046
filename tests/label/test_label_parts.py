"""What `iseg label` is made of, without Ray: rows, ids, names of files, shares of a machine."""

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

pytest.importorskip("pyarrow", reason="the rows of iseg label need pyarrow")
import pyarrow as pa

from iseg.cli.label import read_options
from iseg.errors import InputError
from iseg.label import rows, store
from iseg.label.engine import prepare, share
from iseg.label.ids import digests, drop_repeated, read_written
from iseg.label.unpack import coco_part, read_rows
from iseg.label.write import file_name, image_suffix
from iseg.results import Segmentation

ABOUT = {"iseg": "0", "settings": {"a": 1}, "weights": None}


def made(mask: np.ndarray, names: list[str]) -> Segmentation:
    maps = np.random.default_rng(0).random((len(names), 4, 4)).astype(np.float32)
    return Segmentation(mask, names, maps, maps)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools' decode
@settings(max_examples=30, deadline=None)
@given(arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 12)), elements=st.integers(0, 3)))
def test_a_mask_comes_back_from_its_row(mask):
    row = rows.encode("a", made(mask, ["cat", "dog", "cow"]), 1.5)
    table = pa.Table.from_pylist([row], schema=rows.SCHEMA)
    (back,) = table.to_pylist()
    assert (rows.decode(back) == mask).all()
    assert [score is None for score in back["scores"]] == [not (mask == label).any() for label in (1, 2, 3)]
    part = coco_part(back)
    assert sum(each["area"] for each in part["annotations"]) == (mask > 0).sum()


def write(target, name: str, names: list[str], failed: str = "") -> None:
    given = [rows.empty(each, "bad" if each in failed else None) for each in names]
    store.write(f"{target}/rows/{name}.parquet", rows.to_bytes(pa.Table.from_pylist(given, schema=rows.SCHEMA), ABOUT))


def test_rows_that_are_there_twice_go_and_one_with_a_mask_stays(tmp_path):
    write(tmp_path, "1", ["a", "b", "c"], failed="b")
    write(tmp_path, "2", ["c", "b", "d"])
    write(tmp_path, "3", ["d"])
    written = read_written(str(tmp_path), ABOUT, 0)
    assert sorted(written.done(retry=False)) == sorted(digests("abcd"))
    assert drop_repeated(written) == 3
    left = list(read_rows(str(tmp_path)))
    assert sorted(row["id"] for row in left) == ["a", "b", "c", "d"]
    assert not any(row["error"] for row in left)
    assert drop_repeated(read_written(str(tmp_path), ABOUT, 0)) == 0
    with pytest.raises(InputError, match=r"of other settings.*settings\.a: 1 in the folder, 2 now"):
        read_written(str(tmp_path), {**ABOUT, "settings": {"a": 2}}, 0)


def test_failed_images_are_done_again_if_asked_for(tmp_path):
    write(tmp_path, "1", ["a", "b"], failed="b")
    written = read_written(str(tmp_path), ABOUT, 3)
    assert sorted(written.done(retry=False)) == sorted(digests("ab", 3))
    assert list(written.done(retry=True)) == list(digests("a", 3))


@given(st.text(min_size=1))
def test_no_id_leaves_its_folder(name):
    path = os.path.normpath(f"/masks/{file_name(name)}.png")
    assert path.startswith("/masks/")
    assert "\0" not in path


@pytest.mark.parametrize(
    ("name", "path"), [("a/b c.v2", "a/b c.v2"), ("../x", "%2E%2E/x"), ("http://x/é", "http%3A//x/%C3%A9")]
)
def test_ids_that_are_names_stay_as_they_are(name, path):
    assert file_name(name) == path


def test_actors_leave_a_cpu_over():
    assert share({"CPU": 2.0}, 1, None, None) == (1.0, 0.0)
    assert share({"CPU": 2.0}, 4, None, None) == (0.25, 0.0)
    assert share({"CPU": 1.0}, 1, None, None) == (0.0, 0.0)
    assert share({"CPU": 64.0, "GPU": 8.0}, 16, None, None) == (1.0, 0.5)
    assert share({"CPU": 3.0}, 2, 1.0, None) == (1.0, 0.0)
    with pytest.raises(InputError, match="would wait for ever"):
        share({"CPU": 2.0}, 2, 1.0, None)
    with pytest.raises(InputError, match="GPUs each"):
        share({"CPU": 8.0, "GPU": 1.0}, 2, None, 1.0)


def test_ray_on_this_machine_alone_needs_no_network(monkeypatch):
    names = ("RAY_USAGE_STATS_ENABLED", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    prepare("auto")
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
    assert names[2] not in os.environ
    prepare(None)
    assert os.environ[names[2]] == "0"
    for name in names:
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--actors", "0"], "--actors is 0"),
        (["--cpus", "nan"], "--cpus is nan"),
        (["--save", "heat"], "is of iseg segment"),
        (["other"], "other"),
        (["--iterations", "-1"], "iterations"),
    ],
)
def test_bad_usage(more, said):
    with pytest.raises(InputError, match=said):
        read_options(["list.csv", "--out", "x", "--model", "tiny", *more])


def test_a_job_may_leave_the_prompts_to_the_manifest():
    options, job = read_options(
        ["list.csv", "--out", "s3://b/x", "--model", "tiny", "--batch-size", "3", "--webdataset"]
    )
    assert (options.source, options.target, options.batch_size, options.tars) == ("list.csv", "s3://b/x", 3, True)
    assert job.prompt is None


def test_images_are_known_by_their_first_bytes():
    assert [image_suffix(data) for data in (b"\xff\xd8\xff", b"\x89PNG..", b"RIFF....WEBP", b"??")] == [
        "jpg", "png", "webp", "img"]  # fmt: skip
