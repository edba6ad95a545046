"""Typed settings read from YAML: mappings <-> dataclasses, and where `configs/` lies."""

from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import yaml
from jsonargparse import ArgumentError, ArgumentParser, Namespace

from iseg.errors import InputError

Settings = TypeVar("Settings")


def configs_folder() -> Path:
    """`configs/`: inside the package when installed from a wheel, beside it in a clone."""
    inside = Path(__file__).parent / "configs"
    return inside if inside.is_dir() else Path(__file__).parent.parent / "configs"


def find_config(name: str | Path) -> Path:
    """A YAML file by path, or by name below `configs/` without `.yaml` ("wsss/voc"). InputError if neither exists."""
    for candidate in (Path(name), configs_folder() / f"{name}.yaml"):
        if candidate.is_file():
            return candidate
    known = sorted(str(p.relative_to(configs_folder()).with_suffix("")) for p in configs_folder().rglob("*.yaml"))
    raise InputError(f"no configuration {str(name)!r}: expected a YAML file or one of {', '.join(known)}")


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file that holds a mapping. Raises InputError naming the file otherwise."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise InputError(f"{path}: not readable as YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a mapping of settings, found {type(content).__name__}")
    return content


def parse_settings(kind: type[Settings], values: Mapping[str, Any], where: str) -> Settings:
    """Values checked against the types of a settings dataclass. Raises InputError naming `where` and the key."""
    parsed = parse_values(kind, values, where)
    try:
        return kind(**{entry.name: parsed[entry.name] for entry in fields(kind)})  # type: ignore[arg-type]
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


@cache
def _parser(kind: type) -> ArgumentParser:
    """The parser of a settings dataclass: making it takes as long as reading with it."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(kind, None)
    return parser


def parse_values(kind: type, values: Mapping[str, Any], where: str) -> Namespace:
    """Values converted to the types of a settings dataclass, beside the defaults of the rest."""
    known = [entry.name for entry in fields(kind)]
    unknown = [str(key) for key in values if key not in known]
    if unknown:
        raise InputError(f"{where}: unknown key {unknown[0]!r}: expected one of {', '.join(known)}")
    try:
        return _parser(kind).parse_object(dict(values))
    except ArgumentError as error:
        message = str(error).replace("<class '", "").replace("'>", "").replace("typing.", "")
        raise InputError(f"{where}: {' '.join(message.split())}") from None
