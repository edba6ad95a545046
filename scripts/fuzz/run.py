"""Runs one case in this process and looks at what it left and said."""

import contextlib
import inspect
import io
import json
import logging
import os
import re
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from iseg.cli import main
from iseg.errors import InputError
from scripts.fuzz.case import Case

LONGEST = 500
DEFECTS = (
    "traces",
    "zero exits for bad input",
    "good input refused",
    "half-written files",
    "long lines",
    "control characters",
)
TRACE = re.compile(r"Traceback \(most recent call last\)|; the trace is in |please report it")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


class Models:
    """The embedded model, loaded once for all cases that do not bring weights of their own."""

    def __init__(self) -> None:
        from iseg import ISeg

        self.tiny = ISeg.from_pretrained("tiny", device="cpu")
        self._load = ISeg.from_pretrained.__func__  # type: ignore[attr-defined]

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """A block in which loading the embedded model gives the one that is there, with the recipe asked for."""
        from iseg import ISeg

        asked_for = inspect.signature(self._load)
        usual = {key: each.default for key, each in asked_for.parameters.items() if key != "cls"} | {"model": "tiny"}

        def load(cls: type, *given: Any, **named: Any) -> Any:
            asked = asked_for.bind(cls, *given, **named).arguments
            others = {key: value for key, value in asked.items() if key not in ("cls", "recipe", "device", "backbone")}
            is_tiny = "model" in others and all(value == usual[key] for key, value in others.items())
            if is_tiny and asked.get("device", "auto") in ("auto", "cpu") and asked.get("recipe") is not None:
                return ISeg(self.tiny.backbone, asked["recipe"])
            return self._load(cls, *given, **named)

        with mock.patch.object(ISeg, "from_pretrained", classmethod(load)):
            yield


def run(case: Case, models: Models) -> list[tuple[str, str]]:
    """[(defect, what shows it)] of a case."""
    said = io.StringIO()
    refused, trace = False, ""
    handler = logging.StreamHandler(said)
    logging.getLogger().addHandler(handler)
    try:
        streams = contextlib.redirect_stdout(said), contextlib.redirect_stderr(said)
        with streams[0], streams[1], warnings.catch_warnings(), models.kept():
            if case.call is None:
                refused = main(case.arguments) != 0
            else:
                warnings.simplefilter("ignore")
                case.call(models.tiny)
    except InputError as error:
        refused = True
        said.write(f"{error}\n")
    except KeyboardInterrupt:
        raise
    except BaseException:  # also SystemExit: a trace, or an end without a word
        refused, trace = True, traceback.format_exc().strip().splitlines()[-1][:200]
    finally:
        logging.getLogger().removeHandler(handler)
    return list(_look(case, said.getvalue(), refused, trace))


def _look(case: Case, said: str, refused: bool, trace: str) -> Iterator[tuple[str, str]]:
    if trace or TRACE.search(said):
        yield "traces", trace or said
    if case.sort == "bad" and not refused:
        yield "zero exits for bad input", said
    if case.sort == "good" and refused:
        yield "good input refused", trace or said
    for line in said.splitlines():
        # a message of Python's interface is what the caller catches; what the command prints is cut
        if len(line) > LONGEST and case.call is None:
            yield "long lines", f"{len(line)} characters: {line[:120]}"
        if case.call is None and CONTROL.search(line):
            yield "control characters", ascii(line[:160])
    if case.out is not None and case.out.is_dir():
        yield from (("half-written files", name) for name in _half_written(case.out))


def _half_written(out: Path) -> Iterator[str]:
    """Temporary files, results without settings, settings whose results are not there."""
    for folder, folders, files in os.walk(out):
        for name in (*folders, *files):
            if name.endswith((".tmp", ".part")):
                yield os.path.join(folder, name)
        if os.path.basename(folder) == ".lock":
            continue
        named = set()
        for name in files:
            if name.endswith(".json") and not name.endswith(".coco.json") and name not in ("summary.json", "coco.json"):
                content = json.loads(Path(folder, name).read_text(encoding="utf-8"))
                named |= {name, *content["files"]}
        for name in {*files} - named - {"summary.json", "coco.json", ".segment.yaml", "error.log"}:
            yield f"{os.path.join(folder, name)}: of no settings"
        for name in named - {*files}:
            yield f"{os.path.join(folder, name)}: not there"
