"""Settings of an evaluation out of a YAML file and the command line, or out of what a shard noted of them."""

import argparse
import re
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

from jsonargparse import ArgumentError

from iseg.backbones.find import find_row
from iseg.errors import InputError
from iseg.evaluate.config import Evaluation
from iseg.notation import check_numbers, options_given
from iseg.settings import config_parser, make_parser, read_yaml

AnyEvaluation = TypeVar("AnyEvaluation", bound=Evaluation)


def load_evaluation(arguments: list[str], prog: str, kind: type[AnyEvaluation] = Evaluation) -> AnyEvaluation:  # type: ignore[assignment]
    """Settings from `--config FILE` (a path or a name below configs/, e.g. "wsss/voc") and `--key value` after it.

    `kind` is Evaluation, or a dataclass that adds settings to it.

    Raises InputError naming the file and the key for anything unknown or of the wrong type.
    """
    parser, path, rest = config_parser(arguments, kind, prog, "Evaluate a split.", "wsss/voc")
    content = read_yaml(path)
    for section in ("data", "recipe"):
        if not isinstance(content.get(section, {}), dict):
            raise InputError(f'{path}: Parser key "{section}": Expected a mapping. Got value: {content[section]}')
    if "recipe" not in content:
        given = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
        given.add_argument("--model", default=content.get("model", "sd21-base"))
        given.add_argument("--backbone", default=content.get("backbone"))
        chosen, _ = given.parse_known_args(rest)
        row = find_row(chosen.model, chosen.backbone)
        parser.set_defaults({f"recipe.{key}": value for key, value in row.recipe.items()})
    rest = ["--config", str(path), *rest]
    checks = [(str(path), parser.parse_object, content), ("command line", parser.parse_args, rest)]
    check_numbers(kind, content, str(path))
    check_numbers(kind, options_given(rest), "", "--")
    for where, parse, source in checks:
        try:
            settings = parser.instantiate(parse(source))
            evaluation = kind(**{entry.name: settings[entry.name] for entry in fields(kind)})
        except (ArgumentError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            raise InputError(f"{where}: {_one_line(error)}") from None
    return _applied(evaluation, path)


def restored(kind: type[AnyEvaluation], values: dict[str, Any], where: str) -> AnyEvaluation:
    """Settings out of `dataclasses.asdict` of them, or of a kind that has more, that went through JSON.

    Raises InputError naming `where`.
    """
    parser = make_parser()
    parser.add_class_arguments(kind, None)
    known = {entry.name: values[entry.name] for entry in fields(kind) if entry.name in values}
    try:
        settings = parser.instantiate(parser.parse_object(known))
        return kind(**{entry.name: settings[entry.name] for entry in fields(kind)})
    except (ArgumentError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise InputError(f"{where}: {_one_line(error)}") from None


def _one_line(error: Exception) -> str:
    """A parser's message without line breaks and Python type names."""
    return re.sub(r"<class '([^']*)'>|typing\.", r"\1", " ".join(str(error).split()))


def _applied(evaluation: AnyEvaluation, path: Path) -> AnyEvaluation:
    """The same with the switches `prompt` and `entropy_reduction` worked into the recipe."""
    changes: dict[str, Any] = {}
    if evaluation.prompt == "repaired":
        changes |= evaluation.repaired
    if not evaluation.entropy_reduction:
        changes["entropy"] = 0.0
    try:
        return replace(evaluation, recipe=evaluation.recipe.changed(**changes))
    except InputError as error:
        raise InputError(f"{path}: repaired: {error}") from None
