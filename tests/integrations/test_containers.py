"""The Dockerfile and the Space, as far as a machine without a container engine can tell."""

import fnmatch
import json
import re
import shutil
import subprocess
import sys
import urllib.request
import zipfile
from pathlib import Path

import pytest
import yaml
from process_environment import ENVIRONMENT, address_line

from iseg.page.main import settings_from

ROOT = Path(__file__).parent.parent.parent
SPACE = ROOT / "examples" / "space"
INSTRUCTIONS = {"ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "RUN", "USER", "WORKDIR"}
COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
FIELDS = {"title", "colorFrom", "colorTo", "sdk", "app_port", "license", "short_description", "suggested_hardware"}

Step = tuple[str, str]


def steps(path: Path) -> list[Step]:
    """(instruction, its rest) of a Dockerfile, lines joined."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith("#")]
    text = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in text.splitlines() if line.strip())]


def of(path: Path, instruction: str) -> list[str]:
    return [rest for name, rest in steps(path) if name == instruction]


def copied(path: Path) -> list[str]:
    """What a Dockerfile takes from its folder."""
    return [source for rest in of(path, "COPY") for source in rest.split()[:-1]]


def command(path: Path) -> list[str]:
    """What a container runs."""
    return [word for name in ("ENTRYPOINT", "CMD") for rest in of(path, name) for word in json.loads(rest)]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel that is built of what the Dockerfile copies, and of nothing else."""
    context = tmp_path_factory.mktemp("context")
    for name in copied(ROOT / "Dockerfile"):
        source, target = ROOT / name, context / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(context / "dist")]
    subprocess.run(build, cwd=context, check=True, capture_output=True)
    return next((context / "dist").glob("*.whl"))


@pytest.mark.parametrize("path", [ROOT / "Dockerfile", SPACE / "Dockerfile"], ids=["own", "space"])
def test_a_dockerfile_is_sound(path):
    found = steps(path)
    assert {name for name, _ in found} <= INSTRUCTIONS
    assert found[0] == ("FROM", "python:3.11-slim")
    names = [name for name, _ in found]
    assert ("ARG", "TORCH=cpu") in found
    assert names.index("USER") < names.index("CMD") == len(names) - 1  # nothing runs as root
    assert of(path, "EXPOSE") == ["7860"]
    for shell in of(path, "RUN"):
        subprocess.run(["sh", "-n", "-c", shell], check=True)
    assert any("--constraint constraints.txt" in shell and "whl/${TORCH}" in shell for shell in of(path, "RUN"))


def test_the_image_holds_what_a_wheel_does(wheel):
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    kept = {line[1:] for line in ignored if line.startswith("!")}
    assert {name.split("/")[0] for name in copied(ROOT / "Dockerfile")} <= kept
    inside = set(zipfile.ZipFile(wheel).namelist())
    package = [path.relative_to(ROOT).as_posix() for path in (ROOT / "iseg").rglob("*.py")]
    configs = [f"iseg/{path.relative_to(ROOT).as_posix()}" for path in (ROOT / "configs").rglob("*.yaml")]
    scenes = [f"iseg/page/examples/scenes/{path.name}" for path in (ROOT / "examples" / "scenes").iterdir()]
    assert {*package, *configs, *scenes} <= inside


def test_the_container_starts_the_page_for_others_with_a_key():
    started = command(ROOT / "Dockerfile")
    assert started[:2] == ["iseg", "page"]
    settings = settings_from(started[2:])
    assert (settings.host, settings.port) == ("0.0.0.0", 7860)
    assert settings.secret is not None


def test_the_space_s_front_matter():
    _, front, text = (SPACE / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    fields = yaml.safe_load(front)
    assert set(fields) <= FIELDS
    assert {fields["colorFrom"], fields["colorTo"]} <= COLOURS
    assert (fields["sdk"], fields["app_port"], fields["license"]) == ("docker", 7860, "mit")
    assert len(fields["short_description"]) <= 60
    assert "ISEG_MODEL" in text
    assert "ISEG_AUTH" in text


def test_the_space_s_folder_has_what_its_dockerfile_copies(wheel):
    there = [path.name for path in SPACE.iterdir()] + ["constraints.txt", wheel.name]  # as its README says
    for pattern in copied(SPACE / "Dockerfile"):
        assert fnmatch.filter(there, pattern), pattern
    assert "cp constraints.txt examples/space/* SPACE" in (SPACE / "README.md").read_text(encoding="utf-8")


def test_the_space_s_start_command_serves_the_page(tmp_path):
    pytest.importorskip("gradio", reason="the page needs gradio")
    shutil.copy(SPACE / "app.py", tmp_path)
    python, script = command(SPACE / "Dockerfile")
    assert python == "python"
    variables = {**ENVIRONMENT, "PORT": "0", "HOME": str(tmp_path), "no_proxy": "127.0.0.1,0.0.0.0"}
    variables.pop("ISEG_AUTH", None)
    with subprocess.Popen(
        [sys.executable, "-u", script], cwd=tmp_path, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True,
    ) as server:  # fmt: skip
        try:
            line = address_line(server)
            assert "?key=" not in line
            port = re.search(r":(\d+)", line)
            assert port is not None, line
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            assert b"iseg" in opener.open(f"http://127.0.0.1:{port[1]}/", timeout=60).read().lower()
        finally:
            server.terminate()


def test_a_password_of_the_space_is_asked_for():
    code = f"import runpy; print(runpy.run_path({str(SPACE / 'app.py')!r})['arguments']())"
    variables = {**ENVIRONMENT, "ISEG_AUTH": "me:secret", "ISEG_MODEL": "sd21-base"}
    out = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True)
    assert out.stdout.strip().endswith("'--model', 'sd21-base', '--auth', 'me:secret']")
