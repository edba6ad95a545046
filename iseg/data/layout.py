"""What a data set's folder must hold, and one message that shows it beside what was found."""

from collections.abc import Sequence
from pathlib import Path

from iseg.errors import InputError
from iseg.texts import read_text


def require(title: str, base: Path, entries: Sequence[tuple[str, str]]) -> None:
    """Check that `base` holds every entry.

    Args:
        title: the data set and split, for the message.
        base: its folder.
        entries: (path relative to `base`, where it comes from). A path that ends in "/" must be a folder with at
            least one file, "*" stands for any name, " or " separates paths of which one is enough.

    Raises InputError with the expected tree, each entry marked found or missing.
    """
    lines, complete = [], True
    for pattern, origin in entries:
        found = any(_exists(base, choice) for choice in pattern.split(" or "))
        complete &= found
        lines.append(f"  {pattern:<42} {'found' if found else 'MISSING: ' + origin}")
    if not complete:
        raise InputError(f"{title} is not complete: expected in {base}{'' if base.is_dir() else ' (no such folder)'}\n"
                         + "\n".join(lines))  # fmt: skip


def _exists(base: Path, path: str) -> bool:
    if path.endswith("/"):
        return (base / path).is_dir() and any((base / path).iterdir())
    return any(base.glob(path)) if "*" in path else (base / path).is_file()


def read_names(path: Path) -> list[str]:
    """Ids of an ImageSets file: the first word of each line that is not empty. InputError if there is none."""
    names = [line.split()[0] for line in read_text(path, "a list of names").splitlines() if line.strip()]
    if not names:
        raise InputError(f"{path}: holds no name: expected one image id per line")
    return names
