"""Versions of Python, iseg and the packages it needs, against what the installed distribution asks for."""

import platform
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from importlib import metadata
from pathlib import Path

import iseg
from iseg.cli.check.report import Finding

NAME = "iseg"
ELSEWHERE = {"dev", "cvat", "fiftyone", "label-studio", "supervision"}  # for work on iseg itself, for other tools


def items() -> Iterator[tuple[str, Callable[[], Finding]]]:
    """(name, check) of every version."""
    yield "python", python
    yield "iseg", own
    try:
        extras = set(metadata.metadata(NAME).get_all("Provides-Extra") or ()) - ELSEWHERE
        needed = sorted(required(""))
    except Exception:  # no metadata, or nothing that could read it: "iseg" and "packages" say so
        yield "packages", lambda: Finding(f"{len(required(''))} are needed")
        return
    for name in needed:
        yield name, partial(package, name)
    for extra in sorted(extras):
        yield f"extra {extra}", partial(optional, extra)


def python() -> Finding:
    """The interpreter against Requires-Python."""
    version, wanted = platform.python_version(), ""
    with suppress(metadata.PackageNotFoundError):  # the next line says so
        wanted = metadata.distribution(NAME).metadata["Requires-Python"] or ""
    return _compared(f"{platform.python_implementation()} {version}", version, wanted)


def own() -> Finding:
    """iseg's version and where it is."""
    place = Path(iseg.__file__).parent
    values = {"version": iseg.__version__, "place": str(place)}
    try:
        installed = metadata.version(NAME)
    except metadata.PackageNotFoundError:
        return Finding(f"{iseg.__version__} in {place}, not installed: what it depends on is not known",
                       "warning", values)  # fmt: skip
    if installed != iseg.__version__:
        return Finding(f"{iseg.__version__} in {place}, but {installed} is installed", "warning", values)
    return Finding(f"{iseg.__version__} in {place}", values=values)


def required(extra: str) -> dict[str, str]:
    """{package: supported range} of the distribution; of an extra what it adds."""
    from packaging.requirements import Requirement

    found = {}
    for line in metadata.requires(NAME) or ():
        requirement = Requirement(line)
        marker = requirement.marker
        base = marker is None or marker.evaluate({"extra": ""})
        if base if not extra else not base and marker is not None and marker.evaluate({"extra": extra}):
            found[requirement.name] = str(requirement.specifier)
    return found


def package(name: str) -> Finding:
    """A package that iseg cannot do without. Raises PackageNotFoundError, FAILED, where it is missing."""
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Finding(f"missing: pip install '{name}{required('')[name]}'", "FAILED", {"version": None})
    return _compared(version, version, required("")[name])


def optional(extra: str) -> Finding:
    """The packages of an extra; one that is missing is a warning."""
    wanted = required(extra)
    versions: dict[str, str | None] = {}
    for name in sorted(wanted):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    missing = [name for name, version in versions.items() if version is None]
    if missing:
        return Finding(
            f"{', '.join(missing)} missing: pip install '{NAME}[{extra}]'", "warning", {"versions": versions}
        )
    return Finding(", ".join(f"{name} {version}" for name, version in versions.items()), values={"versions": versions})


def _compared(text: str, version: str, wanted: str) -> Finding:
    from packaging.specifiers import SpecifierSet

    values = {"version": version, "supported": wanted}
    if not SpecifierSet(wanted).contains(version, prereleases=True):
        return Finding(f"{text}: outside the supported range {wanted}", "warning", values)
    return Finding(f"{text} ({wanted})" if wanted else text, values=values)
