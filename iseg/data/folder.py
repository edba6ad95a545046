"""A plain folder of images, with a folder of label PNGs beside it or none."""

from pathlib import Path

from iseg.data.items import Item
from iseg.errors import InputError

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")


def items(images: Path, truth: Path | None = None) -> list[Item]:
    """One item per image file of a folder, sorted; named by the file name without suffix.

    Args:
        images: folder of images; other files and folders in it are passed over.
        truth: folder that holds NAME.png for every image, or None.

    Raises InputError if a folder is missing, holds no image, or if two images have one name.
    """
    for path in (images, truth):
        if path is not None and not path.is_dir():
            raise InputError(f"{path}: no such folder: expected one of {'images' if path is images else 'label PNGs'}")
    found = by_stem(images, "would have the same mask: rename one")
    return [Item(name, path, truth / f"{name}.png" if truth else None) for name, path in found.items()]


def by_stem(folder: Path, clash: str) -> dict[str, Path]:
    """{stem: image file} of a folder, sorted; other files and folders in it are passed over.

    Raises InputError where two have one stem, in the words of `clash`, and for a folder without an image.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.suffix.lower() not in SUFFIXES:
            continue
        if path.stem in found:
            raise InputError(f"{folder}: {found[path.stem].name} and {path.name} {clash}")
        found[path.stem] = path
    if not found:
        raise InputError(f"{folder}: holds no image: expected files that end in {', '.join(SUFFIXES)}")
    return found
