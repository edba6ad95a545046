"""The lists of dependencies agree, and the set-up files say what the project says."""

import re
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # a dependency of pytest there


ROOT = Path(__file__).parent.parent


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[<>=!~; ]", line)[0].lower().replace("_", "-") for line in requirements}


@pytest.fixture(scope="module")
def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def constraints() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {pin.name.lower().replace("_", "-"): str(pin.specifier).removeprefix("==") for pin in pinned}


def test_every_dependency_is_pinned(project, constraints):
    wanted = names(project["dependencies"])
    for extra in project["optional-dependencies"].values():
        wanted |= names(extra)
    assert wanted <= constraints.keys()
    assert constraints["torch"] == "2.13.0"


def test_environment_installs_the_same(project, constraints):
    environment = yaml.safe_load((ROOT / "environment.yaml").read_text(encoding="utf-8"))
    conda = [entry for entry in environment["dependencies"] if isinstance(entry, str)]
    pip = next(entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    assert any(entry.startswith("python=") for entry in conda)
    assert pip == ["--constraint constraints.txt", "--editable .[data,page]"]


def test_pins_are_inside_the_ranges(project, constraints):
    requirements = [*project["dependencies"], *chain.from_iterable(project["optional-dependencies"].values())]
    for requirement in map(Requirement, requirements):
        assert constraints[requirement.name.lower()] in requirement.specifier, requirement


def test_versions_agree(project):
    from iseg import __version__

    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## {__version__}" in changelog
    assert "version" in project["dynamic"]


@pytest.mark.parametrize("folder", ["scripts", "wsss", "ovs", "ui"])
def test_shell_scripts_are_valid_posix_shell(folder):
    scripts = sorted((ROOT / folder).glob("*.sh"))
    assert scripts
    for script in scripts:
        subprocess.run(["sh", "-n", str(script)], check=True)


def test_no_absolute_paths_and_no_large_files_are_tracked():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    for name in listed.stdout.splitlines():
        path = ROOT / name
        assert path.stat().st_size < 13_000_000, f"{name} is large"
        if path.suffix in {".py", ".sh", ".yaml", ".toml", ".js"} and path.name != "test_packaging.py":
            text = path.read_text(encoding="utf-8")
            assert not re.search(r"[\"' =](/home/|/work/|/root/|/Users/)", text), f"{name} holds an absolute path"
            assert "sys.path." not in text, f"{name} edits sys.path"
