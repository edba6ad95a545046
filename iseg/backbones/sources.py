"""A place where weights are looked for, as a row of the table names it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from iseg.errors import InputError, echo
from iseg.settings import parse_settings
from iseg.texts import exists

PACKAGE, MODELSCOPE = "package:", "modelscope:"
DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Source:
    """One source of weights.

    Attributes:
        id: `package:PATH` (inside the iseg package), a local path, a hub id "owner/name", or `modelscope:owner/name`.
        revision: branch, tag or commit; None is the hub's default branch.
        sha256: {file below the folder: hexadecimal digest} that the files must have.
    """

    id: str
    revision: str | None = None
    sha256: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, value in self.sha256.items():
            if not DIGEST.fullmatch(value):
                raise InputError(f"sha256 of {name} is {echo(value)}: expected 64 hexadecimal digits, lower case")

    @property
    def kind(self) -> Literal["package", "local", "modelscope", "hub"]:
        """Who has it."""
        if self.id.startswith(PACKAGE):
            return "package"
        if exists(self.id):
            return "local"
        return "modelscope" if self.id.startswith(MODELSCOPE) else "hub"

    @property
    def place(self) -> Path | None:
        """The folder or file of a source that needs no client, whether or not it is there; None for the others."""
        if self.kind == "package":
            return Path(__file__).parent.parent / self.id.removeprefix(PACKAGE)
        return Path(self.id) if self.kind == "local" else None


def read_source(entry: str | Mapping[str, Any], where: str) -> Source:
    """A source from a row: its id, or {id, revision, sha256}. Raises InputError naming `where` for anything else."""
    return Source(entry) if isinstance(entry, str) else parse_settings(Source, entry, f"{where}: sources")
