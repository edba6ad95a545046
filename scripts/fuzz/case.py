"""One input, what is expected of it, and what was found."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Literal

Sort = Literal["bad", "good", "either"]  # surely to be refused, surely to be taken, or as it comes


@dataclass
class Case:
    """One input.

    Attributes:
        what: a few words, for the table of findings.
        sort: what is expected of it.
        arguments: of the command `iseg`; or else
        call: a function of the loaded model, in place of a command: an InputError is its refusal.
        out: folder of the command's results.
    """

    what: str
    sort: Sort
    arguments: list[str] = field(default_factory=list)
    call: Callable[[Any], object] | None = None
    out: Path | None = None


@dataclass
class Finding:
    """A defect that one input shows: `python -m scripts.fuzz --seed SEED --only INDEX` repeats it."""

    index: int
    kind: str
    what: str
    defect: str
    said: str


Generator = Callable[[Random, Path], Case]  # draws from the random numbers, writes its files to the folder


def segment(folder: Path, *arguments: object, out: str = "out") -> dict[str, Any]:
    """Arguments of `iseg segment` with the small model and a folder of results, and that folder."""
    given = [str(each) for each in arguments]
    if not any(each.startswith("--model") for each in given):
        given += ["--model", "tiny"]
    return {"arguments": ["segment", *given, "--out", str(folder / out)], "out": folder / out}
