"""A wheel works like a clone: the configurations and the embedded model travel inside it."""

import json
import subprocess
import sys
import urllib.request
import zipfile
from pathlib import Path

import lean
import pytest
from PIL import Image
from process_environment import address_line

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


def iseg(python: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The `iseg` command of an environment, in an empty folder of its own."""
    return subprocess.run(
        [str(python), "-m", "iseg", *arguments], cwd=folder, env={"PATH": "", "HOME": str(folder)},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip


def test_the_base_install_segments_and_says_what_more_needs(wheel, tmp_path):
    python = lean.environment(tmp_path / "venv", wheel)
    missing = "import importlib.util as u; print([n for n in ('accelerate', 'scipy', 'gradio') if u.find_spec(n)])"
    assert subprocess.run([str(python), "-c", missing], capture_output=True, text=True).stdout.strip() == "[]"
    scene = str(ROOT / "examples" / "scenes" / "bus_cat.jpg")
    done = iseg(python, tmp_path, "segment", scene, "--classes", "bus; cat", "--model", "tiny", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "iseg-results" / "bus_cat.png") as mask, Image.open(scene) as image:
        assert mask.size == image.size
    page = iseg(python, tmp_path, "page")
    assert (page.returncode, page.stdout) == (2, "")
    assert page.stderr == "error: the page needs gradio: install it with pip install 'iseg[page]'\n"
    coco = iseg(python, tmp_path, "segment", scene, "--classes", "bus", "--model", "tiny", "--save", "coco")
    assert coco.returncode == 2
    assert "pycocotools: install it with pip install 'iseg[data]'" in coco.stderr


def test_with_its_extra_the_page_is_served_from_the_wheel(wheel, tmp_path):
    python = lean.environment(tmp_path / "venv", wheel, "page")
    environment = {"PATH": "", "HOME": str(tmp_path), "no_proxy": "127.0.0.1", "PYTHONUNBUFFERED": "1"}
    command = [str(python), "-m", "iseg", "page", "--port", "0", "--model", "tiny", "--device", "cpu"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as server:
        try:
            address = address_line(server).split()[3]
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            assert "iseg" in opener.open(address, timeout=60).read().decode().lower()
            script = opener.open(f"{address.rstrip('/')}/workbench/main.js", timeout=60).read()
            assert script == (ROOT / "iseg" / "page" / "web" / "main.js").read_bytes()
        finally:
            server.terminate()


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
