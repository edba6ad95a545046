"""Numbers that a person writes for a setting: decimal ones, of a size that a float holds.

jsonargparse reads a text where a number belongs by YAML 1.1, in which 0x10 is 16 and 1:30 is 90.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import yaml

from iseg.errors import InputError, echo
from iseg.texts import load_yaml

OTHER_NOTATION = re.compile(r"[-+]?(0[xXbBoO][\da-fA-F_]+|\d[\d_]*(:[0-5]?\d)+(\.\d*)?)")
MOST_DIGITS = 18
LONG = re.compile(rf"[-+]?\d{{{MOST_DIGITS + 1},}}")


def check_numbers(kind: type, values: Mapping[str, Any], where: str, prefix: str = "") -> None:
    """Raises InputError naming `where` and the key for a number of a settings dataclass in another notation, or huge.

    values: as YAML gives them, before they are converted to the types of the dataclass. prefix: goes before the keys.
    """
    for entry in fields(kind):
        key, value = f"{prefix}{entry.name}", values.get(entry.name)
        if is_dataclass(entry.type):
            if isinstance(value, Mapping):
                check_numbers(entry.type, value, where, f"{key}.")  # type: ignore[arg-type]  # it is no instance
        elif _is_number(entry.type):
            for leaf in _leaves(value):
                _check_leaf(leaf, f"{where}: {key}" if where else key)


def options_given(arguments: Sequence[str]) -> dict[str, Any]:
    """{key: value as YAML reads it} of the options `--key value` and `--key=value`, those with a dot as mappings."""
    found: dict[str, Any] = {}
    for position, argument in enumerate(arguments):
        if not argument.startswith("--"):
            continue
        key, equals, text = argument[2:].partition("=")
        if not equals:
            text = arguments[position + 1] if position + 1 < len(arguments) else ""
        try:
            value = load_yaml(text)
        except yaml.YAMLError:  # e.g. a number of thousands of digits
            value = text
        inner, (*outer, last) = found, key.split(".")
        for name in outer:
            below = inner.get(name)
            inner[name] = inner = below if isinstance(below, dict) else {}
        inner[last] = value
    return found


def _is_number(kind: Any) -> bool:
    """Whether a setting of a type takes numbers (or lists or mappings of some) and no text."""
    said = kind.__name__ if isinstance(kind, type) and not getattr(kind, "__args__", None) else str(kind)
    return bool(re.search(r"\b(int|float)\b", said)) and not re.search(r"\b(str|Any)\b", said)


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _leaves(key)
            yield from _leaves(each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _leaves(each)
    else:
        yield value


def _check_leaf(leaf: Any, name: str) -> None:
    text = leaf.strip() if isinstance(leaf, str) else ""
    if OTHER_NOTATION.fullmatch(text):
        raise InputError(f"{name} is {echo(leaf)}: expected a decimal number")
    if LONG.fullmatch(text) or (isinstance(leaf, int) and abs(leaf) >= 10**MOST_DIGITS):
        raise InputError(f"{name} is {echo(leaf)}: expected a number of at most {MOST_DIGITS} digits")
