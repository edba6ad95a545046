"""Shards of runs over data sets: side by side they are the one run, byte for byte, whatever happens to one of them."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from fake_data import fake_run, make_voc
from fake_model import install, undo_install
from process_environment import ENVIRONMENT, ROOT
from run_files import files

from iseg.cli import main as iseg
from iseg.evaluate import main
from iseg.shards import in_shard

IDS = [(1,), (2, 3), (), (15,), (20, 4, 7), (5,), (12, 8), (1, 2), (9,)]
NAMES = [f"2007_{number:06d}" for number in range(len(IDS))]


@pytest.fixture(autouse=True)
def fake(monkeypatch):
    """A model that takes no time; undone afterwards."""
    undo_install(monkeypatch)
    install()


@pytest.fixture
def config(tmp_path):
    """A configuration over nine images, one of them broken, as a file."""
    voc = make_voc(tmp_path / "data", IDS, {"train": range(len(IDS))})
    (voc / "JPEGImages" / f"{NAMES[4]}.jpg").write_bytes(b"broken")
    content = {
        "model": "fake",
        "device": "cpu",
        "data": {"kind": "voc", "split": "train", "root": str(tmp_path / "data")},
        "recipe": {"iterations": 3, "entropy": 0.05, "background": "power", "cluster": True, "cluster_stride": 5},
    }
    path = tmp_path / "fake.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_shards_of_a_run_with_variants_are_the_run(tmp_path, config, capsys):
    def run(out, *more):
        variants = json.dumps({"none": {"iterations": 0}, "some": {}})
        return main(["run", "--config", str(config), "--out", str(tmp_path / out), "--batch_size", "2",
                     "--save_scores", "true", "--variants", variants, *more])  # fmt: skip

    assert run("whole") == 1
    printed = capsys.readouterr()
    codes = [run("parts", "--shard", f"{index}/3") for index in (3, 1, 2)]
    assert sorted(codes) == [0, 0, 1]
    capsys.readouterr()
    assert iseg(["gather", str(tmp_path / "parts")]) == 1
    gathered = capsys.readouterr()
    assert files(tmp_path / "parts") == files(tmp_path / "whole")
    assert gathered.out.replace("parts", "whole") == printed.out
    assert gathered.err == printed.err
    lines = [path.read_text() for path in sorted((tmp_path / "parts" / "shards").glob("*/errors.jsonl"))]
    (failed,) = (json.loads(line) for line in "".join(lines).splitlines())
    assert failed["image"] == NAMES[4]
    assert iseg(["gather", str(tmp_path / "parts")]) == 1  # again, and nothing is any different
    assert files(tmp_path / "parts") == files(tmp_path / "whole")


def test_what_lacks_is_named(tmp_path, config, capsys):
    out = tmp_path / "parts"

    def run(*more):
        return main(["run", "--config", str(config), "--out", str(out), *more])

    assert iseg(["gather", str(out)]) == 2
    assert "holds no shards" in capsys.readouterr().err
    for index in (1, 3):
        run("--shard", f"{index}/4")
    record = out / "shards" / "3-of-4" / "shard.json"
    record.write_text(record.read_text().replace('"state": "finished"', '"state": "started"'))
    assert iseg(["gather", str(out)]) == 2
    said = capsys.readouterr().err
    assert "shard 2/4 is missing; shard 3/4 is not finished; shard 4/4 is missing" in said
    assert not (out / "results.json").exists()
    for index in (2, 3, 4):
        run("--shard", f"{index}/4")
    lost = next(name for name in NAMES if (out / "masks" / f"{name}.png").is_file())
    (out / "masks" / f"{lost}.png").unlink()
    capsys.readouterr()
    assert iseg(["gather", str(out)]) == 2
    index = next(index for index in range(1, 5) if in_shard(lost, index, 4))
    assert f"shard {index}/4 lacks {lost}" in capsys.readouterr().err
    run("--shard", f"{index}/4")
    assert iseg(["gather", str(out)]) == 1


def test_shards_of_two_cuts_or_two_runs_are_not_mixed(tmp_path, config, capsys):
    out = tmp_path / "parts"
    for shard in ("1/2", "1/1", "2/2"):
        main(["run", "--config", str(config), "--out", str(out), "--shard", shard])
    capsys.readouterr()
    assert iseg(["gather", str(out)]) == 2
    assert "give --shards N" in capsys.readouterr().err
    assert iseg(["gather", str(out), "--shards", "2"]) == 1
    main(["run", "--config", str(config), "--out", str(out), "--shard", "2/2", "--limit", "5"])
    assert iseg(["gather", str(out), "--shards", "2"]) == 2
    assert "of runs that differ (images, names_sha256)" in capsys.readouterr().err
    assert main(["run", "--config", str(config), "--out", str(out), "--shard", "5/2"]) == 2
    assert "shard '5/2'" in capsys.readouterr().err


def start_shard(index: int, count: int, config: Path, out: Path, delay: float = 0.0) -> subprocess.Popen[str]:
    """One task of `scripts/slurm.sbatch` with both stages of open-vocabulary segmentation."""
    task = {"SLURM_ARRAY_TASK_ID": str(index), "SHARDS": str(count), "FAKE_DELAY": str(delay)}
    command = [sys.executable, str(ROOT / "tests" / "ovs_fake.py"), *ovs_arguments(config, out)]
    return subprocess.Popen(["bash", str(ROOT / "scripts" / "slurm.sbatch"), *command], env=ENVIRONMENT | task,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # fmt: skip


def ovs_arguments(config: Path, out: Path) -> list[str]:
    return ["--config", str(config), "--out", str(out), "--tagging.source", "truth", "--upper_bound", "true"]


def test_tasks_side_by_side_one_of_them_killed_and_started_again(tmp_path, config, capsys):
    from ovs.run import main as ovs

    out = tmp_path / "parts"
    tasks = [start_shard(index, 2, config, out, delay=0.3) for index in (1, 2)]
    doomed, other = tasks
    mine = [name for name in NAMES if in_shard(name, 1, 2)]
    until = time.monotonic() + 300
    # once there is a second one, the first is written with all that belongs to it
    while sum((out / "masks" / f"{name}.png").is_file() for name in mine) < 2 and time.monotonic() < until:
        time.sleep(0.02)
    os.kill(doomed.pid, signal.SIGKILL)
    doomed.communicate()
    assert ovs(ovs_arguments(config, tmp_path / "whole")) == 1  # meanwhile
    assert other.communicate(timeout=300)[0].count("shard 2/2: ") == 2
    assert iseg(["gather", str(out)]) == 2
    assert "shard 1/2 is not finished" in capsys.readouterr().err
    capsys.readouterr()
    ovs([*ovs_arguments(config, out), "--shard", "1/2"])
    assert "were segmented before" in capsys.readouterr().out
    assert iseg(["gather", str(out)]) == 1
    assert "| the truth" in capsys.readouterr().out
    assert files(out) == files(tmp_path / "whole")


def test_shards_of_regions_are_the_run(tmp_path, capsys):
    from ovs.regions import main as regions

    content = fake_run(tmp_path / "set", [(k % 20,) for k in range(5)])
    content |= {"regions": {"ours": {}, "few": {"coarse": 0.9}}, "side": 32}
    content["data"] |= {"classes": "stuff27"}
    path = tmp_path / "regions.yaml"
    path.write_text(yaml.safe_dump(content))
    (tmp_path / "set" / "VOCdevkit" / "VOC2012" / "JPEGImages" / f"{NAMES[3]}.jpg").write_bytes(b"broken")
    assert regions(["--config", str(path), "--out", str(tmp_path / "whole")]) == 1
    for shard in ("2/2", "1/2"):
        regions(["--config", str(path), "--out", str(tmp_path / "parts"), "--shard", shard])
    assert not (tmp_path / "parts" / "results.json").exists()
    assert iseg(["gather", str(tmp_path / "parts")]) == 1
    assert files(tmp_path / "parts") == files(tmp_path / "whole")
