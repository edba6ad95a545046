"""A wheel works like a clone: the configurations and the embedded model travel inside it."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

CODE = """
import numpy as np, iseg
from iseg.recipe import load_recipe
assert iseg.__file__.startswith({folder!r}), iseg.__file__
assert load_recipe("wsss/voc").background == "power"
seg = iseg.ISeg.from_pretrained("tiny", device="cpu")
seg.set_image(np.full((40, 70, 3), 120, np.uint8))
print(seg.segment(classes=["cat"]).mask.shape)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def test_what_the_wheel_holds(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    configs = [path.relative_to(ROOT).as_posix() for path in (ROOT / "configs").rglob("*") if path.is_file()]
    assert {f"iseg/{name}" for name in configs} <= set(names)
    model = [path.relative_to(ROOT).as_posix() for path in (ROOT / "iseg" / "models" / "tiny").rglob("*")]
    assert {name for name in model if (ROOT / name).is_file()} <= set(names)
    pictures = (ROOT / "iseg" / "cli" / "check" / "data").iterdir()
    assert {path.relative_to(ROOT).as_posix() for path in pictures} <= set(names)
    assert not [name for name in names if name.startswith(("tests/", "scripts/", "ui/"))]
    assert wheel.stat().st_size < 30_000_000


def test_it_runs_outside_the_clone(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    code = CODE.format(folder=str(tmp_path / "site"))
    environment = {"PYTHONPATH": str(tmp_path / "site"), "PATH": ""}  # before the clone's editable install
    out = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert out.returncode == 0, out.stderr
    assert out.stdout.strip().endswith("(40, 70)")


def test_it_checks_itself_outside_the_clone(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    command = [sys.executable, "-m", "iseg", "check", "--model", "tiny", "--device", "cpu"]
    environment = {"PYTHONPATH": str(tmp_path / "site"), "PATH": "", "OMP_NUM_THREADS": "1"}
    out = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (out.returncode, out.stderr) == (0, ""), out.stdout
    items = {each["name"]: each for each in json.loads((tmp_path / "iseg-check.json").read_text())["items"]}
    assert items["iseg"]["values"]["place"] == str(tmp_path / "site" / "iseg")
    assert items["picture bus_cat"]["verdict"] == "ok"
    assert {"extra data", "extra page"} <= set(items)  # of the wheel's own metadata
