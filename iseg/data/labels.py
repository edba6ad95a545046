"""Image-level labels: which classes an image holds, from its truth mask or from a file of names."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from iseg.data.classes import LabelClass, ids_by_name
from iseg.data.items import IGNORE, Item
from iseg.data.read import read_truth
from iseg.errors import InputError, echo
from iseg.texts import read_json, read_text

PARTS = {"image_similarity", "text_similarity"}  # of a file of two kinds of labels


def present(label: NDArray[np.uint8]) -> list[int]:
    """Class ids of a label map (H, W), ascending; without background (0) and ignore (255)."""
    return [int(value) for value in np.unique(label) if value not in (0, IGNORE)]


def truly_present(item: Item, classes: Sequence[LabelClass]) -> list[int]:
    """Class ids, ascending, that the truth of an item holds. InputError if it has none."""
    return present(read_truth(item, len(classes) + 1))


def read_labels(path: Path, classes: list[LabelClass], part: str | None = None) -> dict[str, list[int]]:
    """Image-level labels from a file: {item name: class ids, ascending}.

    JSON: {"NAME": ["cat", "dog"], ...}, or {"NAME": {"cat": score, ...}, ...}. CSV: a header `name,labels`, then one
    image per line with its classes separated by ";". A class is given by its name or its prompt word; a name may carry
    an image suffix. With `part` a JSON file may hold parts of that form, {"image_similarity": {...}, "text_similarity":
    {...}}, of which one is read.

    Raises InputError naming the file and what in it cannot be used.
    """
    if path.suffix.lower() not in (".json", ".csv"):
        raise InputError(f"{path}: expected a .json or .csv file of image-level labels")
    rows = list(_read_json(path, part) if path.suffix.lower() == ".json" else _read_csv(path))
    known = ids_by_name(classes)
    labels = {}
    for name, words in rows:
        wrong = [word for word in words if word not in known]
        if wrong:
            raise InputError(f"{path}: image {echo(name)} has unknown class {echo(wrong[0])}: expected one of "
                             f"{', '.join(entry.name for entry in classes)}")  # fmt: skip
        labels[_stem(name)] = sorted({known[word] for word in words})
    return labels


def _stem(name: str) -> str:
    return Path(name).stem if Path(name).suffix.lower() in (".jpg", ".jpeg", ".png", ".webp") else name


def _read_json(path: Path, part: str | None) -> Iterable[tuple[str, list[str]]]:
    content = read_json(path, "image-level labels")
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected an object {{name: [classes]}}, found {type(content).__name__}")
    if part is not None and content and set(content) <= PARTS:
        content = content.get(part)
        if not isinstance(content, dict):
            raise InputError(f"{path}: has no part {part!r}: expected {{image: [names]}} there")
    for name, words in content.items():
        if not isinstance(words, (list, dict)) or not all(isinstance(word, str) for word in words):
            raise InputError(f"{path}: image {echo(name)} has {echo(words)}: expected a list of class names")
        yield name, list(words)


def _read_csv(path: Path) -> Iterable[tuple[str, list[str]]]:
    reader = csv.reader(io.StringIO(read_text(path, "image-level labels"), newline=""))
    try:
        header = [cell.strip() for cell in next(reader, [])]
        if header != ["name", "labels"]:
            raise InputError(f"{path}: header is {echo(','.join(header))}: expected name,labels")
        for row in reader:
            if not row:
                continue
            if len(row) != 2:
                raise InputError(f"{path}: line {reader.line_num} has {len(row)} columns: expected name,labels")
            yield row[0].strip(), [word.strip() for word in row[1].split(";") if word.strip()]
    except csv.Error as error:
        raise InputError(f"{path}: not readable as image-level labels: line {reader.line_num}: {error}") from None
