"""The classes of a data set: label ids, names and the words that stand for them in a prompt."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iseg.errors import InputError, echo
from iseg.prompt import ClassWord
from iseg.settings import find_config, read_yaml
from iseg.texts import is_file

KEYS = ("name", "word", "focus")


@dataclass(frozen=True)
class LabelClass:
    """One class.

    Attributes:
        id: label in the masks, from 1.
        name: the data set's own name, e.g. "pottedplant".
        word: how the prompt speaks of it.
    """

    id: int
    name: str
    word: ClassWord


def load_classes(name: str | Path) -> list[LabelClass]:
    """Classes of a file ("voc20" for configs/classes/voc20.yaml, or a path), ids 1, 2, ... in its order.

    The file holds a list `classes:`; an entry is a name, or a mapping with `name`, `word` (what the prompt says; the
    name if left out) and `focus` (the part of the word whose tokens are read; all of it if left out).

    Raises InputError naming the file and the entry that cannot be used.
    """
    path = find_config(name if is_file(name) else f"classes/{name}")
    entries = read_yaml(path).get("classes")
    if not isinstance(entries, list) or not entries:
        raise InputError(f"{path}: expected a list 'classes:'")
    classes = [_entry(path, number, entry) for number, entry in enumerate(entries, 1)]
    names = [entry.name for entry in classes]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise InputError(f"{path}: class {echo(twice[0])} is listed twice")
    return classes


def _entry(path: Path, number: int, entry: Any) -> LabelClass:
    fields: dict[str, str] = {"name": entry} if isinstance(entry, str) else entry
    if not isinstance(fields, dict) or not all(isinstance(value, str) and value for value in fields.values()):
        raise InputError(f"{path}: class {number} is {echo(entry)}: expected a name or a mapping of texts")
    unknown = [key for key in fields if key not in KEYS]
    if unknown or "name" not in fields:
        what = f"unknown key {echo(unknown[0])}" if unknown else "no key 'name'"
        raise InputError(f"{path}: class {number} has {what}: expected {', '.join(KEYS)}")
    word, focus = fields.get("word") or fields["name"], fields.get("focus")
    if focus is not None and focus not in word:
        raise InputError(f"{path}: class {echo(fields['name'])}: focus {echo(focus)} is not a part of {echo(word)}")
    return LabelClass(number, fields["name"], ClassWord(word, focus))


def ids_by_name(classes: list[LabelClass]) -> dict[str, int]:
    """Every way to name a class -> its id: the data set's name, or the prompt word."""
    return {entry.word.word: entry.id for entry in classes} | {entry.name: entry.id for entry in classes}
