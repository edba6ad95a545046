"""Items of a check: each is run, printed as a line and kept for the JSON; none can end the check."""

import math
import os
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Verdict = Literal["ok", "warning", "FAILED"]

LONGEST = 400  # characters of a detail
SECRETS = (
    (re.compile(r"\bhf_\w{8,}"), "hf_***"),  # tokens of the hub
    (re.compile(r"(?<=://)[^/\s@]+@"), "***@"),  # user:password@ of an address
    (re.compile(r"(https?://[^\s?]+)\?\S*"), r"\1?..."),  # signed addresses
)


@dataclass(frozen=True)
class Finding:
    """What a check found: a line for people and the same as plain values for programs."""

    detail: str
    verdict: Verdict = "ok"
    values: dict[str, Any] = field(default_factory=dict)


class NotRunError(Exception):
    """Raised by a check that needs what an earlier one failed to make; it is a warning, the earlier one FAILED."""


class Report:
    """Runs checks one after the other; `items` holds {name, verdict, detail, values} of each."""

    def __init__(self) -> None:
        self.items: list[dict[str, Any]] = []

    def add(self, name: str, check: Callable[[], Finding]) -> None:
        """Run a check and print its line. Whatever it raises is its verdict FAILED and one line."""
        tell(f"{name} ...")
        try:
            found = check()
        except NotRunError as reason:
            found = Finding(f"not run: {reason}", "warning")
        except Exception as error:  # a machine that is broken somewhere is what this is for
            kind = "" if type(error).__module__.startswith("iseg.") else f"{type(error).__name__}: "
            found = Finding(f"{kind}{error}", "FAILED")
        item = {"name": name, "verdict": found.verdict, "detail": clean(found.detail), "values": plain(found.values)}
        self.items.append(item)
        tell("")
        say(f"{item['verdict']:<9}{name:<22} {item['detail']}")

    def section(self, name: str, items: Callable[[], Iterable[tuple[str, Callable[[], Finding]]]]) -> None:
        """Run checks as they are named; if they cannot even be named, that is an item called `name`."""
        try:
            for each, check in items():
                self.add(each, check)
        except Exception as error:
            self.fail(name, error)

    def fail(self, name: str, error: Exception) -> None:
        """Add an item that FAILED with an error."""

        def again() -> Finding:
            raise error

        self.add(name, again)

    def count(self, verdict: Verdict) -> int:
        """How many items have a verdict."""
        return sum(item["verdict"] == verdict for item in self.items)

    @property
    def verdict(self) -> Verdict:
        """The worst of all items."""
        return "FAILED" if self.count("FAILED") else "warning" if self.count("warning") else "ok"


def clean(text: str) -> str:
    """One printable line of at most LONGEST characters, without secrets, with "~" for the home folder."""
    line = "".join(letter if letter.isprintable() else "?" for letter in " ".join(text.split()))
    for home in {str(Path.home()), str(Path.home().resolve())} - {"/"}:
        line = re.sub(re.escape(home) + r"(?![\w.-])", "~", line)
    for pattern, shown in SECRETS:
        line = pattern.sub(shown, line)
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 3]}..."


def plain(value: Any) -> Any:
    """Values as JSON can hold them: texts cleaned, numbers rounded to six digits, what is not finite as None."""
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return clean(value) if isinstance(value, str) else value


def say(line: str) -> None:
    """Print a line at once; a reader that went away does not stop the check."""
    try:
        print(line, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def tell(what: str) -> None:
    """Show on a terminal what is being done now; nothing is left of it."""
    if sys.stderr.isatty():
        print(f"\r\033[K{what}", end="", file=sys.stderr, flush=True)
