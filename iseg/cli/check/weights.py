"""Which weights are at hand, and the model that a check takes."""

from collections.abc import Callable, Iterator
from functools import partial

from iseg.backbones.find import locate, row_sources
from iseg.backbones.table import load_row, row_names
from iseg.cli.check.report import Finding
from iseg.errors import InputError

PREFERRED, EMBEDDED = "sd21-base", "tiny"


def items() -> Iterator[tuple[str, Callable[[], Finding]]]:
    """(name, check) of every row of the table."""
    for name in row_names():
        yield f"weights {name}", partial(at_hand, name)


def at_hand(name: str) -> Finding:
    """Whether the weights of a row are on this machine; a warning where they are not."""
    row = load_row(name)
    sources = [source.id for source in row_sources(row)]
    try:
        place = locate(row, download=False)
    except InputError:
        return Finding(
            f"not at hand: looked for in {', '.join(sources)}", "warning", {"place": None, "sources": sources}
        )
    return Finding(f"at hand, {place}", values={"place": str(place), "sources": sources})


def choose(given: str | None) -> tuple[str, Finding]:
    """The model to check, and why: sd21-base if its weights are at hand, else the embedded one, unless one is given."""
    if given is not None:
        name, found = given, Finding(f"{given}, as asked")
    elif at_hand(PREFERRED).verdict == "ok":
        name, found = PREFERRED, Finding(f"{PREFERRED}, whose weights are at hand")
    else:
        name, found = EMBEDDED, Finding(f"{EMBEDDED}, since the weights of {PREFERRED} are not at hand", "warning")
    known = " (the embedded model knows pictograms, not photographs)" if name == EMBEDDED else ""
    return name, Finding(found.detail + known, found.verdict, {"model": name})
