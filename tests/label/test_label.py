"""`iseg label` on a cluster of two workers: the same rows as `iseg segment`, whatever is killed meanwhile."""

import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import threading
import time
from pathlib import Path

import pytest
from PIL import Image
from process_environment import ENVIRONMENT

pytest.importorskip("ray", reason="the tests of iseg label need ray[data]")
pytest.importorskip("pyarrow", reason="the tests of iseg label need ray[data]")
import pyarrow as pa
import pyarrow.parquet as pq
from label_fake import NullRows, ReadRows

from iseg.cli import main, worker
from iseg.cli.settings import read_job
from iseg.errors import InputError
from iseg.label.options import Options
from iseg.label.run import label
from iseg.label.unpack import read_rows

pytestmark = [
    pytest.mark.ray,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # Ray's own sockets and files
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning:ray"),
    pytest.mark.filterwarnings("ignore:The minimum number of concurrent actors:UserWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
JOB = ["in", "--model", "tiny", "--classes", "cat;dog"]


def manifest(path: Path, uris: list[str]) -> Path:
    """A manifest of images "i0", "i1", ... with these uris."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"id": [f"i{number}" for number in range(len(uris))], "uri": uris}), path)
    return path


def run(source: object, target: object, make: object = NullRows, **options: object):
    given = {"batch_size": 4, "rows_per_file": 8, "actors": 2, "cpus": 0.5, **options}
    return label(Options(str(source), str(target), **given), read_job(JOB, free=True), make)  # type: ignore[arg-type]


def ids(target: object) -> list[str]:
    return sorted(row["id"] for row in read_rows(str(target)))


@pytest.fixture
def images(tmp_path, scene):
    """Four images, two in a sub-folder, and one that is broken."""
    (tmp_path / "in" / "sub").mkdir(parents=True)
    for number, name in enumerate(("a.png", "b.jpg", "sub/a.webp", "sub/c.v2.png")):
        Image.fromarray(scene[: 80 + number]).save(tmp_path / "in" / name)
    (tmp_path / "in" / "broken.png").write_bytes(b"no image")
    return tmp_path / "in"


def test_rows_are_those_of_segment(cluster, images, tmp_path, tiny, monkeypatch, capsys):
    common = [str(images), "--classes", "cat; dog", "--model", "tiny", "--device", "cpu"]
    target, out = tmp_path / "labels", tmp_path / "masks"
    command = ["label", *common, "--out", str(target), "--masks", "--webdataset"]
    assert main(command) == 1
    assert "5 rows written, 1 of them without a mask" in capsys.readouterr().out
    monkeypatch.setattr(worker, "load_model", lambda job: tiny)
    assert main(["segment", *common, "--out", str(tmp_path / "segment"), "--save", "mask,coco"]) == 1
    assert main(["unpack", str(target), "--out", str(out)]) == 0
    assert main(["unpack", str(target), "--coco", str(tmp_path / "coco.json")]) == 0
    expected = {str(path.relative_to(tmp_path / "segment")): path.read_bytes()
                for path in (tmp_path / "segment").rglob("*.png")}  # fmt: skip
    assert len(expected) == 4
    for folder in (out, target / "masks"):
        assert {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.png")} == expected
    found = {row["id"]: row for row in read_rows(str(target))}
    assert "not an image" in found["broken"]["error"]
    assert found["broken"]["rle"] == []
    for name in ("a", "b", "sub/a", "sub/c.v2"):
        (shown,) = json.loads((tmp_path / "segment" / f"{name}.coco.json").read_text())["images"]
        assert found[name]["size"] == [shown["height"], shown["width"]]
    ours = json.loads((tmp_path / "coco.json").read_text())
    theirs = json.loads((tmp_path / "segment" / "coco.json").read_text())
    for content in (ours, theirs):
        for entry in content["images"]:
            entry.pop("file_name")
    assert ours == theirs
    (archive,) = (target / "tars").iterdir()
    with tarfile.open(archive) as opened:
        names = opened.getnames()
        assert {"sub/c_v2.png", "sub/c_v2.mask.png", "sub/c_v2.json", "b.jpg"} <= set(names)
        assert opened.extractfile("b.jpg").read() == (images / "b.jpg").read_bytes()  # type: ignore[union-attr]
    about = json.loads(pq.read_schema(next((target / "rows").iterdir())).metadata[b"iseg"])
    assert about["settings"]["prompt"] == {"classes": ["cat", "dog"]}
    assert set(about["weights"]) >= {"unet", "vae"}
    assert main(command) == 0
    assert "5 of 5 images were labelled before" in capsys.readouterr().out
    assert main([*command, "--iterations", "3"]) == 2
    assert "settings.iterations" in capsys.readouterr().err


def test_a_bucket_with_prompts_in_its_manifest_and_tars(cluster, bucket, images, tmp_path, capsys):
    import fsspec

    store = fsspec.filesystem("s3")
    store.put(str(images), "images/in", recursive=True)
    rows = [
        {"id": "1", "uri": "in/a.png", "classes": "cat; dog"},
        {"id": "2", "uri": "s3://images/in/b.jpg", "box": "1,2,30,40"},
        {"id": "3", "uri": "in/lost.png", "classes": "cat"},
        {"id": "4", "uri": "in/broken.png"},
        {"id": "5", "uri": "in/sub/a.webp", "points": "1,2 3,4"},
        {"id": "6", "uri": "in/sub/a.webp", "points": "nowhere"},
    ]
    store.pipe_file("images/list.jsonl", "\n".join(map(json.dumps, rows)).encode())
    report = run("s3://images/list.jsonl", "s3://images/out", ReadRows, actors=1)
    assert (report.images, report.rows, report.failed) == (6, 6, 3)
    found = {row["id"]: row for row in read_rows("s3://images/out")}
    assert found["1"]["classes"] == ["{'classes': ['cat', 'dog']}"]
    assert found["2"]["classes"] == ["{'box': [1.0, 2.0, 30.0, 40.0]}"]
    assert found["5"]["classes"] == ["{'points': [[1.0, 2.0], [3.0, 4.0]]}"]
    assert (found["1"]["size"], found["2"]["size"], found["5"]["size"]) == ([80, 140], [81, 140], [82, 140])
    assert "in/lost.png" in found["3"]["error"]
    assert "not an image" in found["4"]["error"]
    assert found["6"]["error"].startswith("points")

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.add(images / "a.png", "001.png")
        archive.add(images / "a.png", "001.json")
        archive.add(images / "b.jpg", "x/002.jpg")
    store.pipe_file("images/tars/part-0.tar", buffer.getvalue())
    assert run("s3://images/tars", "s3://images/out-tars", ReadRows, actors=1).failed == 0
    found = {row["id"]: row["size"] for row in read_rows("s3://images/out-tars")}
    assert found == {"part-0/001": [80, 140], "part-0/x/002": [81, 140]}


def test_an_actor_is_killed_and_bad_images_cost_only_themselves(cluster, tmp_path):
    uris = ["bad" if number % 100 == 7 else "fine" for number in range(300)]
    uris[50] = f"kill {tmp_path / 'killed'}"
    source = manifest(tmp_path / "list.parquet", uris)
    report = run(source, tmp_path / "out", rows_per_file=50, batch_size=10)
    assert (tmp_path / "killed").exists()
    assert (report.rows, report.failed) == (300, 3)
    assert ids(tmp_path / "out") == sorted(f"i{number}" for number in range(300))
    assert sorted(row["id"] for row in read_rows(str(tmp_path / "out")) if row["error"]) == ["i107", "i207", "i7"]
    sizes = [pq.read_metadata(path).num_rows for path in (tmp_path / "out" / "rows").iterdir()]
    assert sizes == [50] * 6


DRIVER = """
import sys, label_fake, ray
from iseg.cli.settings import read_job
from iseg.label.options import Options
from iseg.label.run import label
ray.init(sys.argv[3], log_to_driver=False, logging_level="ERROR")
ray.cloudpickle.register_pickle_by_value(label_fake)
job = read_job(["in", "--model", "tiny", "--classes", "cat;dog"], free=True)
label(Options(sys.argv[1], sys.argv[2], 3, 1.0, batch_size=4, rows_per_file=8), job, label_fake.NullRows)
"""


def test_the_driver_is_killed_then_a_worker(cluster, tmp_path):
    source, out = manifest(tmp_path / "list.csv.parquet", ["wait 0.05"] * 160), tmp_path / "out"
    command = [sys.executable, "-c", DRIVER, str(source), str(out), cluster.address]
    driver = subprocess.Popen(command, env={**ENVIRONMENT, **os.environ})
    until = time.monotonic() + 300
    while driver.poll() is None and len(list(out.glob("rows/*.parquet"))) < 3 and time.monotonic() < until:
        time.sleep(0.05)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    kept = len(ids(out))
    assert 24 <= kept < 120  # written while the actors work, though they leave a single CPU

    def remove() -> None:
        until = time.monotonic() + 120
        while len(list(out.glob("rows/*.parquet"))) < 6 and time.monotonic() < until:
            time.sleep(0.05)
        cluster.remove_node(node, allow_graceful=False)
        removed.append(len(list(out.glob("rows/*.parquet"))))

    removed: list[int] = []
    node = sorted(cluster.worker_nodes, key=str)[0]
    killer = threading.Thread(target=remove)
    killer.start()
    report = run(source, out)
    killer.join(timeout=60)
    assert 6 <= removed[0] < 20  # while there was work left
    assert report.kept >= kept
    assert ids(out) == sorted(f"i{number}" for number in range(160))


def test_what_is_wrong_is_said_before_anything_is_done(cluster, tmp_path, capsys):
    source = tmp_path / "list.csv"
    source.write_text("id,uri\n007,fine\n7,fine\n007,fine\n")
    with pytest.raises(InputError, match=r"1 ids are there more than once: '007'"):
        run(source, tmp_path / "out")
    source.write_text("name,uri\n007,fine\n")
    with pytest.raises(InputError, match="has no column id"):
        run(source, tmp_path / "out")
    with pytest.raises(InputError, match="leave less than one of"):
        run(source, tmp_path / "out", actors=4, cpus=1.0)
    with pytest.raises(InputError, match="GPUs each"):
        run(source, tmp_path / "out", gpus=1.0)
    with pytest.raises(InputError, match="no such file"):
        run(tmp_path / "lost.parquet", tmp_path / "out")
    source.write_text("id,uri\n007,stop\n")
    with pytest.raises(InputError, match="nothing can be done at all"):
        run(source, tmp_path / "out")
    assert not (tmp_path / "out" / "rows").exists()
