"""Prompts of single images from a file."""

import csv
import io
from pathlib import Path
from typing import Any

from iseg.cli.prompts import WAYS, Prompt, parse_prompt
from iseg.errors import InputError, echo
from iseg.texts import read_json, read_text

KEYS = ("image", *(way for way in WAYS if way != "vocabulary"), "negative", "names")


def read_prompts(path: Path) -> dict[Path, Prompt]:
    """{image: prompt} in the order of a file; images and masks are named from the file's folder.

    JSON: a list of {"image": "a.jpg", "classes": ["cat", "dog"]}, or {"a.jpg": {"classes": ...}, ...}. CSV: a header
    with `image` and any of classes, points, negative, line, box, boxes, names, mask, written as on the command line; a
    cell may be empty. Each image has exactly one prompt.

    Raises InputError naming the file and the entry that cannot be used.
    """
    if path.suffix.lower() not in (".json", ".csv"):
        raise InputError(f"--prompts {path}: expected a .json or .csv file")
    rows = _json_rows(path) if path.suffix.lower() == ".json" else _csv_rows(path)
    prompts: dict[Path, Prompt] = {}
    for where, row in rows:
        image = row.get("image")
        if not isinstance(image, str) or not image.strip() or "\0" in image:
            raise InputError(f"{where}: image is {echo(image)}: expected the path of an image")
        unknown = [key for key in row if key not in KEYS]
        if unknown:
            raise InputError(f"{where}: unknown key {echo(unknown[0])}: expected any of {', '.join(KEYS)}")
        if isinstance(row.get("mask"), str):
            row = {**row, "mask": str(path.parent / row["mask"])}
        try:
            prompt = parse_prompt({key: value for key, value in row.items() if key != "image"}, option="")
        except InputError as error:
            raise InputError(f"{where}: image {echo(image)}: {error}") from None
        target = path.parent / image
        if target in prompts:
            raise InputError(f"{where}: image {echo(image)} is there twice: expected one prompt for each")
        prompts[target] = prompt
    if not prompts:
        raise InputError(f"{path}: holds no prompt: expected at least one image")
    return prompts


def _json_rows(path: Path) -> list[tuple[str, dict[str, Any]]]:
    content = read_json(path, "prompts")
    if isinstance(content, dict) and all(isinstance(value, dict) for value in content.values()):
        content = [{**value, "image": name} for name, value in content.items()]
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
        raise InputError(f'{path}: expected a list of {{"image": "a.jpg", "classes": ["cat"]}}')
    return [(f"{path}: entry {number}", row) for number, row in enumerate(content, 1)]


def _csv_rows(path: Path) -> list[tuple[str, dict[str, Any]]]:
    reader = csv.reader(io.StringIO(read_text(path, "prompts"), newline=""))
    rows = []
    try:
        header = [cell.strip() for cell in next(reader, [])]
        if "image" not in header or len(set(header)) != len(header):
            raise InputError(
                f"{path}: header is {echo(','.join(header))}: expected image and any of {', '.join(KEYS[1:])}"
            )
        for cells in reader:
            where = f"{path}: line {reader.line_num}"
            if len(cells) > len(header):
                raise InputError(f"{where} has {len(cells)} columns: expected {len(header)}")
            if any(cell.strip() for cell in cells):
                values = zip(header, cells, strict=False)  # cells at the end may be left out
                rows.append((where, {key: cell.strip() for key, cell in values if cell.strip()}))
    except csv.Error as error:
        raise InputError(f"{path}: not readable as prompts: line {reader.line_num}: {error}") from None
    return rows
