"""Stage 1: image-level labels of a split, saved as JSON; one file per image is the checkpoint."""

import json
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from accelerate import PartialState
from tqdm import tqdm

from iseg.data.classes import LabelClass, ids_by_name
from iseg.data.items import Item
from iseg.data.labels import present, read_labels
from iseg.data.read import read_label, read_pair
from iseg.errors import InputError
from iseg.evaluate.outputs import digest
from iseg.files.export import write_json
from iseg.settings import list_differences, plain, read_yaml
from iseg.tagging import Tagger
from iseg.tagging.quality import quality
from iseg.texts import read_json
from ovs.settings import OpenVocabulary, Tagging

CONFIG, LABELS, SCORES = "tagging.json", "labels.json", "labels"
WAIT = timedelta(days=30)  # a process that is done early waits for the others
SHOWN_NAMES = 5


def make_labels(settings: OpenVocabulary, items: list[Item], classes: list[LabelClass]) -> Path:
    """Write OUT/labels.json, {image: {class name: score}}, from the source of the settings; without scores they are 1.

    Raises InputError for a labels file that names unknown classes or lacks images, for CLIP that cannot be had, and if
    OUT holds labels of other settings.
    """
    out, tagging = Path(settings.out), settings.tagging
    state = PartialState(cpu=settings.device == "cpu", timeout=WAIT)
    open_folder(out, settings, classes)
    if tagging.source == "tagclip":
        tag_items(settings, items, classes, state)
    if state.is_main_process:
        write_json(out / LABELS, collect(tagging, items, classes, out))
    state.wait_for_everyone()
    return out / LABELS


def open_folder(out: Path, settings: OpenVocabulary, classes: list[LabelClass]) -> None:
    """Write OUT/tagging.json, what the labels depend on. InputError with the difference if another lies there."""
    tagging = settings.tagging
    depends: dict[str, Any] = {
        "source": tagging.source,
        "data": {"kind": settings.data.kind, "split": settings.data.split},
        "classes": [entry.name for entry in classes],
    }
    if tagging.source == "tagclip":
        depends |= {
            "clip": plain(vars(tagging.clip) | {"mix": list(tagging.clip.mix)}),
            "words": clip_words(tagging, classes),
        }
    if tagging.source == "file":
        file = Path(str(tagging.file))
        if not file.is_file():
            raise InputError(f"tagging.file {file}: no such file of labels")
        depends |= {"part": tagging.part, "sha256": digest(file)}
    path = out / CONFIG
    labelled = (out / LABELS).is_file() or any((out / SCORES).glob("*.json"))
    if path.is_file() and labelled:
        differences = list_differences(read_yaml(path), depends)
        if differences:
            raise InputError(f"{out} holds labels of other settings: give another --out, or those of {path}\n"
                             + "\n".join(differences))  # fmt: skip
    write_json(path, depends)


def clip_words(tagging: Tagging, classes: list[LabelClass]) -> list[str]:
    """What CLIP is told for each class. InputError if the settings name another number of classes."""
    words = tagging.clip.names or [entry.word.word for entry in classes]
    if len(words) != len(classes):
        raise InputError(
            f"tagging.clip.names has {len(words)} names for {len(classes)} classes: expected one per class"
        )
    return words


def tag_items(
    settings: OpenVocabulary, items: Sequence[Item], classes: list[LabelClass], state: PartialState
) -> dict[str, str]:
    """Label this process's share of the images with TagCLIP, OUT/labels/NAME.json each. Returns {image: reason} failed.

    Images that have their file are passed over; CLIP is loaded only if one is missing.
    """
    folder = Path(settings.out) / SCORES
    missing = [item for item in items if not (folder / f"{item.name}.json").is_file()]
    if state.is_main_process and len(missing) < len(items):
        print(f"{len(items) - len(missing)} of {len(items)} images were labelled before with the same settings: kept")
    state.wait_for_everyone()  # all processes have looked before the first one writes
    mine = missing[state.process_index :: state.num_processes]
    failures: dict[str, str] = {}
    if mine:
        device = str(state.device) if settings.device == "auto" else settings.device
        tagger, words = (
            Tagger.from_pretrained(settings.tagging.clip, device=device),
            clip_words(settings.tagging, classes),
        )
        tagger.texts(words)  # words that the model does not know are found before any image
        for item in tqdm(mine, desc="label", unit="image", disable=None if state.is_main_process else True):
            try:
                tags = tagger.tag(read_pair(item, len(classes) + 1)[0], words)
            except InputError as error:
                failures[item.name] = str(error)
                continue
            chosen = {classes[index].name: tags.scores[index] for index in tags.chosen}
            write_json(folder / f"{item.name}.json", {"labels": chosen, "scores": tags.scores})
    for name, reason in failures.items():
        print(f"not labelled: {name}: {reason}", file=sys.stderr)
    state.wait_for_everyone()
    return failures


def collect(
    tagging: Tagging, items: Sequence[Item], classes: list[LabelClass], out: Path
) -> dict[str, dict[str, float]]:
    """{image: {class name: score}} of all images that have labels."""
    if tagging.source == "all":
        return {item.name: {entry.name: 1.0 for entry in classes} for item in items}
    if tagging.source == "tagclip":
        files = {item.name: out / SCORES / f"{item.name}.json" for item in items}
        return {name: json.loads(path.read_text())["labels"] for name, path in files.items() if path.is_file()}
    names = {entry.id: entry.name for entry in classes}
    if tagging.source == "truth":
        return {item.name: {names[index]: 1.0 for index in present(read_truth(item, len(classes)))} for item in items}
    file = Path(str(tagging.file))
    labels = read_parts(file, classes, tagging.part) or read_labels(file, classes)
    lacking = [item.name for item in items if item.name not in labels]
    if lacking:
        raise InputError(
            f"{file}: has no labels for {len(lacking)} of {len(items)} images: {', '.join(lacking[:SHOWN_NAMES])}"
            f"{', ...' if len(lacking) > SHOWN_NAMES else ''}"
        )
    return {item.name: {names[index]: 1.0 for index in labels[item.name]} for item in items}


def read_truth(item: Item, num_classes: int) -> Any:
    """Label map of an item. InputError if it has none."""
    if item.label is None:
        raise InputError(f"{item.name} has no truth mask: expected another tagging.source than truth")
    return read_label(item.label, num_classes + 1)


def read_parts(path: Path, classes: list[LabelClass], part: str) -> dict[str, list[int]] | None:
    """Class ids by image of a file {"image_similarity": {image: [names]}, ...}; None for a file of another form."""
    if path.suffix.lower() != ".json":
        return None
    content = read_json(path, "labels")
    if not isinstance(content, dict) or not content or not set(content) <= {"image_similarity", "text_similarity"}:
        return None
    rows = content.get(part)
    if not isinstance(rows, dict):
        raise InputError(f"{path}: has no part {part!r}: expected {{image: [names]}} there")
    known = ids_by_name(classes)
    labels = {}
    for name, words in rows.items():
        given = words if isinstance(words, list) else [words]
        wrong = [word for word in given if not isinstance(words, list) or str(word) != word or word not in known]
        if wrong:
            raise InputError(f"{path}: image {name!r} has unknown class {wrong[0]!r}: expected one of "
                             f"{', '.join(entry.name for entry in classes)}")  # fmt: skip
        labels[Path(name).stem if Path(name).suffix.lower() in (".jpg", ".png") else name] = sorted(
            map(known.get, words)
        )
    return labels


def measure(settings: OpenVocabulary, items: Sequence[Item], classes: list[LabelClass]) -> dict[str, Any] | None:
    """Quality of OUT/labels.json where truth exists, written to OUT/labels_quality.json; None without truth."""
    out = Path(settings.out)
    saved = json.loads((out / LABELS).read_text())
    kept = [item for item in items if item.name in saved and item.label is not None]
    if not kept:
        return None
    index = {entry.name: number for number, entry in enumerate(classes)}
    truth = {item.name: [number - 1 for number in present(read_truth(item, len(classes)))] for item in kept}
    chosen = {item.name: [index[name] for name in saved[item.name]] for item in kept}
    scores = None
    if settings.tagging.source == "tagclip":
        scores = {item.name: json.loads((out / SCORES / f"{item.name}.json").read_text())["scores"] for item in kept}
    found = quality(truth, chosen, [entry.name for entry in classes], scores)
    write_json(out / "labels_quality.json", found)
    return found
