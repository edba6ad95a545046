"""Images named on the command line, and what their results are called."""

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from iseg.data.items import Item
from iseg.errors import InputError, echo

SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
RESERVED = ("coco", "summary")  # names of files about a whole folder
LONGEST_NAME = 255  # bytes of a file's name
KINDS = ("mask", "overlay", "heat", "cutout", "scores", "coco", "panel", "animation")  # what can be saved


@dataclass(frozen=True)
class _Found:
    path: Path
    resolved: Path
    relative: PurePath  # to the folder that was given; the bare file name for a file

    def name(self, level: int) -> str:
        """0: the relative path without its ending; 1: with it; more: so many folders of the path before it."""
        if level == 0:
            return self.relative.with_suffix("").as_posix()
        parts = self.resolved.parts[1:]  # without the root
        return "/".join(parts[-(len(self.relative.parts) + level - 1) :])


def list_items(images: Sequence[str], out: Path, ending: int = 0) -> list[Item]:
    """Image files, and the images in folders and their sub-folders (hidden ones and OUT left out), each once.

    An item's path is as given, its name the path of its results below OUT without their endings ("holiday/cat").
    A result is named like its image, below OUT/SUBFOLDER for an image of a folder's sub-folder. Images whose results
    would share a name are told apart by their ending and, if that is not enough, by the folders above them:
    a/cat.jpg and b/cat.jpg give OUT/a/cat.jpg.png and OUT/b/cat.jpg.png. A name that would be too long with an ending
    of `ending` bytes is cut, and a digest of it tells it apart.

    Raises InputError for a folder without images and for a result that would replace an image.
    """
    found: dict[Path, _Found] = {}
    for given in images:
        for each in _find(given, out):
            found.setdefault(each.resolved, each)
    items = [Item(_fitting(name, ending), each.path) for each, name in _distinct_names(list(found.values()))]
    for item in items:
        target = (out / f"{item.name}.png").resolve()
        if target in found:
            raise InputError(
                f"the mask of {item.image} would replace the image {target}: give another folder with --out"
            )
    return items


def _find(given: str, out: Path) -> Iterator[_Found]:
    if not given.strip():
        raise InputError("an image path is empty: expected an image file or a folder")
    path = Path(given)
    try:
        resolved, is_folder = path.resolve(), path.is_dir()
    except (OSError, RuntimeError, ValueError) as error:  # a name that is too long, a loop of links, a NUL
        raise InputError(f"{echo(given)}: not a path that can be read: {error.args[-1]}") from None
    if not is_folder:
        yield _Found(path, resolved, PurePath(path.name))
        return
    results = out.resolve()
    count = 0
    for image in sorted(path.rglob("*")):
        relative = image.relative_to(path)
        hidden = any(part.startswith(".") for part in relative.parts)
        lost = image.is_symlink() and not image.exists()  # told of when it is read
        if hidden or image.suffix.lower() not in SUFFIXES or not (lost or image.is_file()):
            continue
        if results != resolved and image.resolve().is_relative_to(results):
            continue
        yield _Found(image, image.resolve(), relative)
        count += 1
    if not count:
        raise InputError(f"{given}: no image in this folder: expected files ending in {', '.join(sorted(SUFFIXES))}")


def _distinct_names(found: list[_Found]) -> list[tuple[_Found, str]]:
    """A name for every image, unlike every other even where capitals do not count."""
    levels = [0] * len(found)
    while True:
        names = [each.name(level) for each, level in zip(found, levels, strict=True)]
        taken = Counter(name.casefold() for name in names)
        growing = [
            n
            for n, name in enumerate(names)
            if _clashes(name.casefold(), taken) and found[n].name(levels[n] + 1) != name
        ]
        if not growing:
            return list(zip(found, names, strict=True))
        for n in growing:
            levels[n] += 1


def _clashes(name: str, taken: Counter[str]) -> bool:
    """Whether two images have this name, or it looks like a result of another ("cat.overlay" beside "cat")."""
    stem = name
    while "." in stem.rpartition("/")[2]:
        stem, _, kind = stem.rpartition(".")
        if kind in KINDS and taken[stem]:
            return True
    return taken[name] > 1 or name in RESERVED


def _fitting(name: str, ending: int) -> str:
    """A result's name that a file system takes with an ending of so many bytes."""
    folder, slash, own = name.rpartition("/")
    raw = os.fsencode(own)
    room = LONGEST_NAME - ending
    if len(raw) <= room:
        return name
    digest = hashlib.sha256(raw).hexdigest()[:8]
    kept = raw[: max(1, room - len(digest) - 1)].decode("utf-8", "ignore")
    return f"{folder}{slash}{kept}~{digest}"
