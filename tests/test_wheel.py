"""A wheel works like a clone: the configurations and the embedded model travel inside it."""

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
    assert not [name for name in names if name.startswith(("tests/", "scripts/", "ui/"))]
    assert wheel.stat().st_size < 30_000_000


PAGE = """
from iseg.page import gallery, shell
from iseg.page.engine import Engine
from iseg.page.api import Api
from iseg.page.main import settings_from
settings = settings_from([])
api = Api(Engine(settings))
assert shell.build(api) is not None
print(sorted(path.suffix for path in gallery.examples([settings.examples_folder]).values()))
"""


def test_the_page_works_outside_the_clone(wheel, tmp_path):
    names = set(zipfile.ZipFile(wheel).namelist())
    web = {path.relative_to(ROOT).as_posix() for path in (ROOT / "iseg" / "page" / "web").iterdir()}
    assert web <= names
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    environment = {"PYTHONPATH": str(tmp_path / "site"), "PATH": ""}
    out = subprocess.run([sys.executable, "-c", PAGE], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert out.returncode == 0, out.stderr
    photographs = list((ROOT / "examples").rglob("*.jpg"))
    assert out.stdout.strip() == str([".jpg"] * len(photographs))


def test_it_runs_outside_the_clone(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    code = CODE.format(folder=str(tmp_path / "site"))
    environment = {"PYTHONPATH": str(tmp_path / "site"), "PATH": ""}  # before the clone's editable install
    out = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert out.returncode == 0, out.stderr
    assert out.stdout.strip().endswith("(40, 70)")
