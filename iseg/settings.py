"""Typed settings read from YAML: mappings <-> dataclasses, and where `configs/` lies."""

import argparse
import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path
from types import NoneType
from typing import Any, TypeVar, get_args

import yaml
from jsonargparse import ArgumentError, ArgumentParser, Namespace, set_dumper, set_loader

from iseg.errors import InputError, echo, printable
from iseg.notation import check_numbers
from iseg.texts import is_file, load_yaml, read_yaml

__all__ = ["config_parser", "configs_folder", "find_config", "list_differences", "make_parser", "parse_settings",
           "parse_values", "parsed", "plain", "read_section", "read_yaml", "refuse_null"]  # fmt: skip

Settings = TypeVar("Settings")

SHOWN_DIFFERENCES = 8
UNSET = "not set"
HALF_ECHO = 100  # characters of each of two values
PARSER_MODE = "iseg"  # of jsonargparse: values of options are read by `load_yaml`
LONGEST_MESSAGE = 400  # characters of what jsonargparse says


def configs_folder() -> Path:
    """`configs/`: inside the package when installed from a wheel, beside it in a clone."""
    inside = Path(__file__).parent / "configs"
    return inside if inside.is_dir() else Path(__file__).parent.parent / "configs"


def find_config(name: str | Path) -> Path:
    """A YAML file by path, or by name below `configs/` without `.yaml` ("wsss/voc"). InputError if neither exists."""
    for candidate in (Path(name), configs_folder() / f"{name}.yaml"):
        if is_file(candidate):
            return candidate
    known = sorted(str(p.relative_to(configs_folder()).with_suffix("")) for p in configs_folder().rglob("*.yaml"))
    raise InputError(f"no configuration {echo(str(name))}: expected a YAML file or one of {', '.join(known)}")


def read_section(path: Path, *names: str) -> dict[str, Any]:
    """The settings in a section of a YAML file, or in a section of that. InputError naming the file if it has none."""
    section: Any = read_yaml(path)
    for depth, name in enumerate(names):
        section = section.get(name)
        if not isinstance(section, dict):
            within = "".join(f"{outer}: " for outer in names[:depth])
            raise InputError(f"{path}: {within}expected a section '{name}:' with settings")
    return section


def parse_settings(kind: type[Settings], values: Mapping[str, Any], where: str) -> Settings:
    """Values checked against the types of a settings dataclass. Raises InputError naming `where` and the key."""
    parsed = parse_values(kind, values, where)
    try:
        return kind(**{entry.name: parsed[entry.name] for entry in fields(kind)})  # type: ignore[arg-type]
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def make_parser(**options: Any) -> ArgumentParser:
    """A parser of jsonargparse that reads values as iseg reads YAML: in bounds. `options`: of ArgumentParser."""
    set_loader(PARSER_MODE, _load_value, exceptions=(yaml.YAMLError,))
    set_dumper(PARSER_MODE, _dump_values)
    return ArgumentParser(exit_on_error=False, parser_mode=PARSER_MODE, **options)


def config_parser(
    arguments: list[str], kind: type, prog: str, description: str, example: str
) -> tuple[ArgumentParser, Path, list[str]]:
    """The parser of `--config FILE --key value ...` for a dataclass `kind`; the file; the arguments beside it.

    example: a name below configs/. Raises InputError without a file, and for one that is not there.
    """
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--config")
    known, rest = first.parse_known_args(arguments)
    parser = make_parser(prog=prog, description=description)
    parser.add_argument("--config", action="config", help=f"YAML file, or its name below configs/ ({example})")
    parser.add_class_arguments(kind, None)
    if known.config is None:
        if {"-h", "--help"} & set(arguments):
            parser.parse_args(arguments)
        raise InputError(f"no configuration was given: expected --config FILE, e.g. --config {example}")
    return parser, find_config(known.config), rest


def _load_value(text: str) -> Any:
    """The value of an option's text; words that only look like a mapping ("cat:", "{cat}") stay words."""
    value = load_yaml(text)
    if value is None and text.strip().lower() not in ("null", "~"):  # e.g. "!", a tag without a value, or a comment
        return text
    return text if isinstance(value, dict) and value and not any(each is not None for each in value.values()) else value


def _dump_values(values: Any) -> str:
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)


def parsed(parse: Callable[[Any], Any], source: Any, where: str) -> Any:
    """What a method of a parser of `make_parser` makes of `source`. Raises InputError naming `where` and the key."""
    try:
        return parse(source)
    except InputError:
        raise
    except ArgumentError as error:
        message = _plain_words(str(error))
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError) as error:
        # jsonargparse's own on values that no type fits, e.g. an integer of thousands of digits
        message = f"not readable as settings: {printable(error)}"
    raise InputError(f"{where}: {message}" if where else message)


def _plain_words(message: str) -> str:
    """jsonargparse's message on one line, without the names of Python's types."""
    message = re.sub(r"\s+", " ", message)
    message = re.sub(r"<class '([^']*)'>", r"\1", message.replace("typing.", "").replace("NoneType", "null"))
    message = re.sub(r'Parser key "([^"]*)": ', r"\1: ", message)
    message = re.sub(
        r"Does not validate against any of the Union subtypes Subtypes: \[(.*?)\] Errors: .*Given value: (.*)",
        r"expected one of \1, got \2",
        message,
    )
    return printable(message, LONGEST_MESSAGE)


@cache
def _parser(kind: type) -> ArgumentParser:
    """The parser of a settings dataclass: making it takes as long as reading with it."""
    parser = make_parser()
    parser.add_class_arguments(kind, None)
    return parser


def parse_values(kind: type, values: Mapping[str, Any], where: str) -> Namespace:
    """Values converted to the types of a settings dataclass, beside the defaults of the rest."""
    known = [entry.name for entry in fields(kind)]
    unknown = [key for key in values if key not in known]
    if unknown:
        raise InputError(f"{where}: unknown key {echo(unknown[0])}: expected one of {', '.join(known)}")
    refuse_null(kind, values, f"{where}: ")
    check_numbers(kind, values, where)
    return parsed(_parser(kind).parse_object, dict(values), where)


def refuse_null(kind: type, values: Mapping[str, Any], before: str = "") -> None:
    """Raises InputError for a key left empty in YAML that has no such value: jsonargparse lets null pass."""
    for entry in fields(kind):
        if entry.name in values and values[entry.name] is None and NoneType not in get_args(entry.type):
            raise InputError(f"{before}{entry.name} is null: expected a value, or no such key")


def plain(value: Any) -> Any:
    """A value as it reads back from YAML: tuples become lists."""
    return yaml.safe_load(yaml.safe_dump(value))


def list_differences(saved: Any, now: dict[str, Any]) -> list[str]:
    """Lines "  key: saved value -> value now" for every setting that differs."""
    before, after = flatten(saved or {}), flatten(plain(now))
    keys = [key for key in {**before, **after} if before.get(key) != after.get(key)]
    values = [(key, echo(before.get(key, UNSET), HALF_ECHO), echo(after.get(key, UNSET), HALF_ECHO)) for key in keys]
    lines = [f"  {key}: {old} in the folder, {new} now" for key, old, new in values]
    if len(lines) > SHOWN_DIFFERENCES:
        lines[SHOWN_DIFFERENCES:] = [f"  and {len(lines) - SHOWN_DIFFERENCES} more"]
    return lines


def flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings -> {"a.b": value}."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
