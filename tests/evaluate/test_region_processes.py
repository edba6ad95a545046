"""Runs over regions that are interrupted, repeated and shared by processes: the same records, the same figures."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from fake_data import fake_run
from process_environment import ENVIRONMENT, ROOT, TWO_PROCESSES

IMAGES = 6
LAUNCH = ["-m", "accelerate.commands.accelerate_cli", *TWO_PROCESSES]


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("set")
    content = fake_run(folder, [(k % 20,) for k in range(IMAGES)])
    content |= {"regions": {"ours": {}, "few": {"coarse": 0.9}}, "side": 32}
    content["data"] |= {"classes": "stuff27"}
    path = folder / "regions.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def start(config: Path, out: Path, *more: str, launch: bool = False, delay: float = 0) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *(LAUNCH if launch else []), str(ROOT / "tests" / "regions_fake.py"), "--config", str(config),
         "--out", str(out), *more],
        env=ENVIRONMENT | {"FAKE_DELAY": str(delay)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


def finish(run: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = run.communicate(timeout=300)
    return run.returncode, out, err


def records(out: Path) -> dict[str, bytes]:
    files = [*(out / "counts").glob("*.json"), out / "results.json"]
    return {path.name: path.read_bytes() for path in files if path.is_file()}


@pytest.fixture(scope="module")
def whole(config, tmp_path_factory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("whole")
    code, printed, err = finish(start(config, out))
    assert code == 0, err
    assert "| ours" in printed
    found = records(out)
    assert len(found) == IMAGES + 1
    return found


def test_interrupted_and_resumed_is_uninterrupted(config, whole, tmp_path):
    with start(config, tmp_path, delay=0.7) as run:
        deadline = time.monotonic() + 120
        while len(records(tmp_path)) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        run.send_signal(signal.SIGINT)
        code, _, err = finish(run)
    assert code == 130, err
    assert err.splitlines()[-1].startswith("interrupted: the images at hand are finished first")
    kept = records(tmp_path)
    assert 2 <= len(kept) < IMAGES
    code, printed, err = finish(start(config, tmp_path))
    assert code == 0, err
    assert f"{len(kept)} of {IMAGES} images were cut into regions before with the same settings: kept" in printed
    assert records(tmp_path) == whole
    code, _, err = finish(start(config, tmp_path, "--side", "64"))
    assert code == 2
    assert "side: 32 in the folder, 64 now" in err


def test_two_processes_are_one(config, whole, tmp_path):
    code, printed, err = finish(start(config, tmp_path, launch=True))
    assert code == 0, err
    assert printed.count("| ours") == 1
    assert records(tmp_path) == whole


def test_counts_without_settings_are_refused(config, whole, tmp_path):
    for name, content in whole.items():
        path = tmp_path / "counts" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    (tmp_path / "counts" / "results.json").unlink()
    code, _, err = finish(start(config, tmp_path))
    assert code == 2
    assert "holds counts but no config.yaml" in err
    assert json.loads(whole["results.json"])["images"] == IMAGES
