"""Shards of a folder of images and `iseg gather`: together they are the one run."""

import json
from pathlib import Path

import pytest
from PIL import Image

from iseg.cli import main, segment, worker
from iseg.cli.inputs import list_items
from iseg.files.shards import read_shards
from iseg.shards import in_shard

IMAGES = ("a.png", "b.png", "c.jpg", "d.png", "sub/a.png", "sub/e.jpg", "f.png")


@pytest.fixture(autouse=True)
def model(tiny, monkeypatch):
    """The embedded model for every run."""
    monkeypatch.setattr(worker, "load_model", lambda job: tiny)


@pytest.fixture
def images(tmp_path, scene):
    path = tmp_path / "in"
    (path / "sub").mkdir(parents=True)
    for name in IMAGES:
        Image.fromarray(scene).save(path / name)
    (path / "sub" / "broken.png").write_bytes(b"no image")
    return path


def command(images: Path, out: Path, *more: str) -> list[str]:
    return [
        "segment",
        str(images),
        "--classes",
        "cat",
        "--save",
        "mask,coco",
        "--out",
        str(out),
        "--model",
        "tiny",
        *more,
    ]


def files(out: Path) -> dict[str, bytes]:
    """All results, without what says how and in which parts they were made."""
    hidden = {".lock", "shards", ".segment.yaml"}
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and not hidden & set(path.relative_to(out).parts)
    }


def test_shards_of_a_folder_are_the_run(images, tmp_path, capsys):
    assert main(command(images, tmp_path / "whole")) == 1
    codes = [main(command(images, tmp_path / "parts", "--shard", f"{index}/3")) for index in (2, 3, 1)]
    assert sorted(codes) == [0, 0, 1]
    assert not (tmp_path / "parts" / "summary.json").exists()
    assert main(["gather", str(tmp_path / "parts")]) == 1
    assert "7 of 8 images done, 1 failed" in capsys.readouterr().out
    assert files(tmp_path / "parts") == files(tmp_path / "whole")
    (line,) = "".join(path.read_text() for path in (tmp_path / "parts").glob("shards/*/errors.jsonl")).splitlines()
    assert json.loads(line)["image"] == "sub/broken"


def test_a_shard_that_was_ended_goes_on_and_meanwhile_is_not_whole(images, tmp_path, monkeypatch, capsys):
    (images / "sub" / "broken.png").unlink()
    out = tmp_path / "parts"
    real, done = worker.Worker.segment, list[str]()

    def interrupted(self, item):
        if done:
            raise KeyboardInterrupt
        done.append(item.name)
        return real(self, item)

    with monkeypatch.context() as patch:
        patch.setattr(segment.Worker, "segment", interrupted)
        assert main(command(images, out, "--shard", "1/2")) == 130
    assert main(command(images, out, "--shard", "2/2")) == 0
    assert main(["gather", str(out)]) == 2
    assert "shard 1/2 is not finished: interrupted" in capsys.readouterr().err
    assert main(command(images, out, "--shard", "1/2")) == 0
    assert "1 of " in capsys.readouterr().out
    (out / f"{done[0]}.json").unlink()
    assert main(["gather", str(out)]) == 2
    assert f"shard 1/2 lacks {done[0]}.json" in capsys.readouterr().err
    assert main(command(images, out, "--shard", "1/2")) == 0
    assert main(["gather", str(out)]) == 0
    summary = json.loads((out / "summary.json").read_text())
    assert (len(summary["done"]), summary["kept"], summary["not_tried"]) == (len(IMAGES), [], [])


def test_a_shard_without_images_and_one_of_other_settings(images, tmp_path, capsys):
    out = tmp_path / "parts"
    names = [item.name for item in list_items([str(images)], out)]
    count = next(count for count in range(2, 99) if not any(in_shard(name, 1, count) for name in names))
    assert main(command(images, out, "--shard", f"1/{count}")) == 0
    assert json.loads((out / "shards" / f"1-of-{count}" / "shard.json").read_text())["state"] == "finished"
    for index, iterations in ((1, "3"), (2, "2")):
        main(command(images, tmp_path / "mixed", "--shard", f"{index}/2", "--iterations", iterations))
    capsys.readouterr()
    assert main(["gather", str(tmp_path / "mixed")]) == 2
    assert "of runs that differ (settings_sha256)" in capsys.readouterr().err
    assert main(command(images, out, "--shard", "9/3")) == 2
    assert "expected I/N" in capsys.readouterr().err


def test_a_record_that_is_none_and_a_kind_that_is_not_known(tmp_path, capsys):
    record = tmp_path / "shards" / "1-of-1" / "shard.json"
    record.parent.mkdir(parents=True)
    record.write_text("[]")
    assert main(["gather", str(tmp_path)]) == 2
    assert "is not the record of a shard" in capsys.readouterr().err
    record.write_text(json.dumps({"kind": "os", "plan": {}, "state": "finished"}))
    assert read_shards(tmp_path)
    assert main(["gather", str(tmp_path)]) == 2
    assert "shards of kind 'os'" in capsys.readouterr().err
