"""Stage 1: image-level labels of a split, saved as JSON; one file per image is the checkpoint."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from iseg.clip_maps.presence import ClipPresence
from iseg.clip_maps.source import ClipSource
from iseg.data.classes import LabelClass
from iseg.data.items import Item
from iseg.data.labels import read_labels, truly_present
from iseg.data.read import read_pair
from iseg.errors import InputError
from iseg.evaluate.dataset_run import Run
from iseg.evaluate.outputs import folder_digest, remove
from iseg.evaluate.records import make_records, read_record
from iseg.files.claim import FolderLock, claim
from iseg.files.export import write_json
from iseg.tagging import Tagger
from iseg.tagging.load import locate_clip
from iseg.tagging.quality import quality
from iseg.texts import read_json
from iseg.work.trouble import Failure, made_or_failure, read_or_failure
from ovs.settings import OpenVocabulary, Tagging, clip_words

CONFIG, LABELS, SCORES, FAILURES = "tagging.yaml", "labels.json", "labels", "labels_failures.json"
SHOWN_NAMES = 5


def make_labels(settings: OpenVocabulary, run: Run) -> dict[str, str]:
    """Write OUT/labels.json, {image: {class name: score}}, from the source of the settings; without scores they are 1.

    A shard labels its own images, and the two files are in its folder.

    Returns {image: reason} of the images that could not be labelled, which are in OUT/labels_failures.json too. The
    next run tries them again.

    Raises InputError for a labels file that names unknown classes or lacks images, for CLIP that cannot be had, and if
    OUT holds labels of other settings.
    """
    out, place, tagging, failures = Path(settings.out), run.place, settings.tagging, {}
    lock = hold(settings, run.classes)
    try:
        if tagging.source == "tagclip":
            failures = tag_items(settings, run)
        if run.state.is_main_process:
            save_labels(place, collect(tagging, run.mine, run.classes, out), failures)
        run.state.wait_for_everyone()
    finally:
        lock.close()
    return failures


def save_labels(place: Path, labels: dict[str, dict[str, float]], failures: dict[str, str]) -> None:
    """Write PLACE/labels.json, and labels_failures.json if there is something to say in it."""
    write_json(place / LABELS, labels)
    if failures:
        write_json(place / FAILURES, failures)
    else:
        remove(place / FAILURES)


def hold(settings: OpenVocabulary, classes: list[LabelClass]) -> FolderLock:
    """Write OUT/tagging.yaml, what the labels depend on. InputError with the difference if another lies there.

    What a file says of an image is compared image by image, and CLIP is known by its weights.
    """
    out, tagging = Path(settings.out), settings.tagging
    depends: dict[str, Any] = {
        "source": tagging.source,
        "data": {"kind": settings.data.kind, "split": settings.data.split},
        "classes": [entry.name for entry in classes],
    }
    how: dict[str, Any] = {"file": tagging.file}
    if tagging.source == "tagclip" and tagging.presence == "clip":
        depends |= {
            "clip_maps": {
                **vars(settings.clip_maps),
                "model": folder_digest(str(locate_clip(settings.clip_maps.model))),
            },
            "words": clip_words(settings.clip_maps.names, classes, "clip_maps.names"),
        }
        how["model"] = settings.clip_maps.model
    elif tagging.source == "tagclip":
        model = tagging.clip.model
        depends |= {
            "clip": {
                **vars(tagging.clip),
                "mix": list(tagging.clip.mix),
                "model": folder_digest(str(locate_clip(model))),
            },
            "words": clip_words(tagging.clip.names, classes, "tagging.clip.names"),
        }
        how["model"] = model
    if tagging.source == "file":
        if not Path(str(tagging.file)).is_file():
            raise InputError(f"tagging.file {tagging.file}: no such file of labels")
        depends["part"] = tagging.part

    def labelled() -> int:
        return (out / LABELS).is_file() + sum(1 for _ in (out / SCORES).glob("*.json"))

    return claim(out / CONFIG, depends, how, labelled, "labels")[0]


def tag_items(settings: OpenVocabulary, run: Run) -> dict[str, str]:
    """Label the images with TagCLIP, each process its share, OUT/labels/NAME.json each. Returns {image: reason} failed.

    Images that have their file are passed over; CLIP is loaded only if one is missing.
    """

    def work(mine: Sequence[Item]) -> Iterator[dict[str, Any] | Failure]:
        tagger, words = make_tagger(settings, run)
        tagger.texts(words)  # words that the model does not know are found before any image
        for item in mine:
            yield tag(tagger, item, words, run.classes)

    return make_records(run, Path(settings.out) / SCORES, work, "labelled", "label")


def make_tagger(settings: OpenVocabulary, run: Run) -> tuple[Tagger | ClipPresence, list[str]]:
    """What decides which classes an image holds, and what it is told for each class."""
    if settings.tagging.presence == "clip":
        words = clip_words(settings.clip_maps.names, run.classes, "clip_maps.names")
        return ClipPresence(ClipSource.from_pretrained(settings.clip_maps, device=run.device)), words
    words = clip_words(settings.tagging.clip.names, run.classes, "tagging.clip.names")
    return Tagger.from_pretrained(settings.tagging.clip, device=run.device), words


def tag(
    tagger: Tagger | ClipPresence, item: Item, words: list[str], classes: list[LabelClass]
) -> dict[str, Any] | Failure:
    """The labels of an image and the scores of all classes, or what is wrong with the image."""
    pair = read_or_failure(lambda: read_pair(item, len(classes) + 1))
    tags = pair if isinstance(pair, Failure) else made_or_failure(lambda: tagger.tag(pair[0], words))
    if isinstance(tags, Failure):
        return tags
    return {"labels": {classes[index].name: tags.scores[index] for index in tags.chosen}, "scores": tags.scores}


def collect(
    tagging: Tagging, items: Sequence[Item], classes: list[LabelClass], out: Path
) -> dict[str, dict[str, float]]:
    """{image: {class name: score}} of all images that have labels."""
    if tagging.source == "all":
        return {item.name: {entry.name: 1.0 for entry in classes} for item in items}
    if tagging.source == "tagclip":
        files = {item.name: out / SCORES / f"{item.name}.json" for item in items}
        return {name: read_saved(path)["labels"] for name, path in files.items() if path.is_file()}
    names = {entry.id: entry.name for entry in classes}
    if tagging.source == "truth":
        lacking = [item.name for item in items if item.label is None]
        if lacking:
            raise InputError(f"{lacking[0]} has no truth mask: expected another tagging.source than truth")
        return {item.name: {names[index]: 1.0 for index in truly_present(item, classes)} for item in items}
    file = Path(str(tagging.file))
    labels = read_labels(file, classes, tagging.part)
    lacking = [item.name for item in items if item.name not in labels]
    if lacking:
        raise InputError(
            f"{file}: has no labels for {len(lacking)} of {len(items)} images: {', '.join(lacking[:SHOWN_NAMES])}"
            f"{', ...' if len(lacking) > SHOWN_NAMES else ''}"
        )
    return {item.name: {names[index]: 1.0 for index in labels[item.name]} for item in items}


def read_saved(path: Path) -> dict[str, Any]:
    """The labels and scores of one image. InputError for a file that is not what `tag_items` wrote."""
    return read_record(
        path, {"labels": dict, "scores": list}, "labels of an image: remove it to have it labelled again"
    )


def measure(settings: OpenVocabulary, items: Sequence[Item], classes: list[LabelClass]) -> dict[str, Any] | None:
    """Quality of OUT/labels.json where truth exists, written to OUT/labels_quality.json; None without truth."""
    out = Path(settings.out)
    saved = read_json(out / LABELS, "labels")
    kept = [item for item in items if item.name in saved and item.label is not None]
    if not kept:
        return None
    chosen = {item.name: list(saved[item.name]) for item in kept}
    scores = None
    if settings.tagging.source == "tagclip":
        scores = {item.name: read_saved(out / SCORES / f"{item.name}.json")["scores"] for item in kept}
    return save_quality(out / "labels_quality.json", kept, classes, chosen, scores)


def save_quality(
    path: Path,
    items: Sequence[Item],
    classes: Sequence[LabelClass],
    chosen: Mapping[str, Sequence[str]],
    scores: Mapping[str, Sequence[float]] | None,
) -> dict[str, Any]:
    """Write and return how good the class names `chosen` for items are against their truth; scores of all classes."""
    names = [entry.name for entry in classes]
    truth = {item.name: [index - 1 for index in truly_present(item, classes)] for item in items}
    found = quality(
        truth, {name: [names.index(word) for word in words] for name, words in chosen.items()}, names, scores
    )
    write_json(path, found)
    return found
