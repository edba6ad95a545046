"""What two runs are compared by."""

from pathlib import Path


def files(folder: Path) -> dict[str, bytes]:
    """All that a run leaves, except how it was run and what shards leave of their own."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and path.name not in ("config.yaml", "tagging.yaml")
        and not {".lock", "shards"} & set(path.relative_to(folder).parts)
    }
