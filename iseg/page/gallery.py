"""Pictures on the server's disk that the page may show: the gallery's examples."""

from collections.abc import Iterable
from pathlib import Path

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff"}
PHOTOS = {".jpg", ".jpeg"}
LABEL_FOLDERS = {"masks", "labels", "truth", "results"}
MOST = 24


def is_truth(path: Path, folder: Path) -> bool:
    """Whether a file is a label map rather than a picture: by its folder, or a PNG beside a photograph of its name."""
    if any(part in LABEL_FOLDERS for part in path.relative_to(folder).parts[:-1]):
        return True
    return path.suffix.lower() == ".png" and any(path.with_suffix(suffix).is_file() for suffix in PHOTOS)


def examples(folders: Iterable[Path], scenes_first: bool = False) -> dict[str, Path]:
    """Names -> files of the gallery; two files of one name are told apart by their folders.

    scenes_first: pictogram scenes, which the embedded model knows, before photographs.
    """
    named: dict[str, Path] = {}
    for folder in folders:
        found = sorted(folder.rglob("*")) if folder.is_dir() else []
        pictures = [path for path in found if path.suffix.lower() in SUFFIXES and not is_truth(path, folder)]
        pictures.sort(key=lambda path: ("scenes" in path.parts) != scenes_first)
        for path in pictures[:MOST]:
            name = path.stem.replace("_", " ")
            if name in named:
                name = path.relative_to(folder).as_posix()
            named[name] = path
    return named
