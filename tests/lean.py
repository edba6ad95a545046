"""Environments that hold nothing but what a requirement brings, made of links to this one's packages."""

import importlib.metadata as metadata
import subprocess
import sys
import zipfile
from pathlib import Path

from packaging.requirements import Requirement


def closure(requirements: list[str], extra: str = "") -> set[str]:
    """Names of all distributions that some requirements bring, with an extra of the first."""
    waiting = [(Requirement(text), "") for text in requirements]
    seen: set[tuple[str, str]] = set()
    while waiting:
        requirement, of = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": of}):
            continue
        for wanted in ("", *requirement.extras):
            key = (requirement.name.lower().replace("_", "-"), wanted)
            if key in seen:
                continue
            seen.add(key)
            waiting += [(Requirement(text), wanted) for text in metadata.requires(requirement.name) or []]
    return {name for name, _ in seen}


def link(name: str, site: Path) -> None:
    """Link a distribution's packages and metadata into a site-packages folder."""
    distribution = metadata.distribution(name)
    tops = {Path(str(file)).parts[0] for file in distribution.files or [] if not str(file).startswith("..")}
    for top in tops - {"__pycache__"}:
        source, target = Path(str(distribution.locate_file(top))), site / top
        if source.is_dir() and target.is_dir() and not target.is_symlink():  # a namespace that several share
            for child in source.iterdir():
                if not (target / child.name).exists():
                    (target / child.name).symlink_to(child)
        elif not target.exists():
            target.symlink_to(source)


def environment(folder: Path, wheel: Path, extra: str = "") -> Path:
    """A virtual environment with a wheel of iseg and what it requires; returns its `python`."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    site = next(folder.glob("lib/python*/site-packages"))
    zipfile.ZipFile(wheel).extractall(site)
    own = next(site.glob("iseg-*.dist-info"))
    lines = metadata.PathDistribution(own).requires or []
    wanted = [line for line in lines if (m := Requirement(line).marker) is None or m.evaluate({"extra": extra})]
    for name in sorted(closure([line.split(";")[0] for line in wanted])):
        link(name, site)
    return folder / "bin" / "python"
