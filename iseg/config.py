"""Typed settings read from YAML, and recipes: how a mask is made."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from jsonargparse import ArgumentError, ArgumentParser, Namespace

from iseg.errors import InputError

Settings = TypeVar("Settings")


@dataclass(frozen=True)
class Recipe:
    """Every setting that decides a mask once the backbone is given (sections of the method in brackets).

    Attributes:
        prompt: template with `{classes}` and, if wanted, `{context}` [1].
        context: what `{context}` becomes.
        enhancement: factor on the embeddings of the focus tokens, 1 = off [1].
        resize: bilinear resize of the input by "opencv" (published tasks) or "torch" (published interactive mode).
        cross_weights: {resolution: weight} of the cross-attention maps [2].
        cross_heads: {resolution: flat head indices over the backbone's layers in their order}; None = all [2].
        cluster: pool positions by KL clusters [2].
        cluster_rounds, cluster_stride: rounds of k-means, spacing of its first prototypes.
        cluster_dtype: "float32", or "float16" as published (not reproducible across devices).
        self_heads: flat head indices over the backbone's self-attention layers; None = all [3].
        entropy: weight of the entropy step, 0 = off [3].
        entropy_clamp_max: upper clamp after the step, or None [3].
        entropy_normalize_rows: divide rows by their sum once more before the step [3].
        iterations: products with the self-attention, >= 0 [4].
        working_size: side of the square on which scores are min-maxed before they go to image size; None = the
            interactive way: min-max on the grid, then to image size [5].
        background: "power" or a threshold in [0, 1] [5].
    """

    prompt: str = "a photography of {classes} and other object and background"
    context: str = ""
    enhancement: float = 1.6
    resize: Literal["opencv", "torch"] = "torch"
    cross_weights: dict[int, float] = field(default_factory=lambda: {16: 0.7, 32: 0.3})
    cross_heads: dict[int, list[int]] | None = None
    cluster: bool = False
    cluster_rounds: int = 20
    cluster_stride: int = 11
    cluster_dtype: Literal["float32", "float16"] = "float32"
    self_heads: list[int] | None = None
    entropy: float = 0.1
    entropy_clamp_max: float | None = 1.0
    entropy_normalize_rows: bool = True
    iterations: int = 10
    working_size: int | None = None
    background: Literal["power"] | float = 0.5

    def __post_init__(self) -> None:
        limits = {
            "enhancement": (0, 100),
            "entropy": (0, 1000),
            "iterations": (0, 1000),
            "cluster_rounds": (1, 1000),
            "cluster_stride": (1, 1000),
            "entropy_clamp_max": (1e-6, 1e6),
            "working_size": (1, 8192),
        }
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if value is None and name in ("entropy_clamp_max", "working_size"):
                continue
            if not isinstance(value, (int, float)) or not low <= value <= high:
                raise InputError(f"{name} is {value!r}: expected a number in {low}..{high}")
        if self.background != "power" and not 0 <= float(self.background) <= 1:
            raise InputError(f"background is {self.background!r}: expected power or a threshold in 0..1")
        weights = self.cross_weights.values()
        if not all(0 <= weight < math.inf for weight in weights) or not sum(weights) > 0:
            given = self.cross_weights or "empty"
            raise InputError(f"cross_weights is {given}: expected {{resolution: weight}}, e.g. {{16: 0.7, 32: 0.3}}")

    def changed(self, **settings: Any) -> "Recipe":
        """A copy with some settings replaced; values are checked and converted like those of a YAML file."""
        if not settings:
            return self
        given = _parsed(Recipe, settings, "settings")
        return replace(self, **{key: given[key] for key in settings})


def configs_folder() -> Path:
    """`configs/`: inside the package when installed from a wheel, beside it in a clone."""
    inside = Path(__file__).parent / "configs"
    return inside if inside.is_dir() else Path(__file__).parent.parent / "configs"


def find_config(name: str | Path) -> Path:
    """A YAML file by path, or by name below `configs/` without `.yaml` ("wsss/voc"). InputError if neither exists."""
    for candidate in (Path(name), configs_folder() / f"{name}.yaml"):
        if candidate.is_file():
            return candidate
    known = sorted(str(p.relative_to(configs_folder()).with_suffix("")) for p in configs_folder().rglob("*.yaml"))
    raise InputError(f"no configuration {str(name)!r}: expected a YAML file or one of {', '.join(known)}")


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file that holds a mapping. Raises InputError naming the file otherwise."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise InputError(f"{path}: not readable as YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a mapping of settings, found {type(content).__name__}")
    return content


def parse_settings(kind: type[Settings], values: Mapping[str, Any], where: str) -> Settings:
    """Values checked against the types of a settings dataclass. Raises InputError naming `where` and the key."""
    parsed = _parsed(kind, values, where)
    try:
        return kind(**{entry.name: parsed[entry.name] for entry in fields(kind)})  # type: ignore[arg-type]
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


@cache
def _parser(kind: type) -> ArgumentParser:
    """The parser of a settings dataclass: making it takes as long as reading with it."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(kind, None)
    return parser


def _parsed(kind: type, values: Mapping[str, Any], where: str) -> Namespace:
    """Values converted to the types of a settings dataclass, beside the defaults of the rest."""
    known = [entry.name for entry in fields(kind)]
    unknown = [str(key) for key in values if key not in known]
    if unknown:
        raise InputError(f"{where}: unknown key {unknown[0]!r}: expected one of {', '.join(known)}")
    try:
        return _parser(kind).parse_object(dict(values))
    except ArgumentError as error:
        message = str(error).replace("<class '", "").replace("'>", "").replace("typing.", "")
        raise InputError(f"{where}: {' '.join(message.split())}") from None


def load_recipe(name: str | Path, **settings: Any) -> Recipe:
    """The `recipe:` section of a configuration ("wsss/voc" or a path), with some settings replaced.

    Raises InputError naming file and key for anything unknown or of the wrong type.
    """
    path = find_config(name)
    section = read_yaml(path).get("recipe")
    if not isinstance(section, dict):
        raise InputError(f"{path}: expected a section 'recipe:' with settings")
    return parse_settings(Recipe, {**section, **settings}, str(path))
