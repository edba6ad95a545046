"""The recipe: every setting that decides a mask once the backbone is given."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from iseg.errors import InputError, echo
from iseg.settings import find_config, parse_settings, parse_values, read_section

LARGEST_WEIGHT = 1e6  # of a resolution; float32 sums of larger ones would not be finite


@dataclass(frozen=True)
class Recipe:
    """Every setting that decides a mask once the backbone is given (sections of the method in brackets).

    Attributes:
        prompt: template with `{classes}` and, if wanted, `{context}` [1].
        context: what `{context}` becomes.
        enhancement: factor on the embeddings of the focus tokens, 1 = off [1].
        looks: sides of the squares that one image is looked at by, as shares of the model's own, the first one 1: the
            attention of all is averaged on the first one's grid (an extension; data sets average maps, see `views`).
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
        upsample: maps to the image's size, "bilinear", or "bilateral": along the picture's edges, rows and columns in
            turn.
        upsample_cells, upsample_range: of "bilateral": the sigmas in cells of the grid and in colours of 0..1.
        outline: the border of each object where its "map" has it, or by a "cut" along colours and edges of the picture
            (`iseg.cutout`), whatever it was asked for by.
        outline_size: longest side in pixels at which "cut" decides.
        decision_size: longest side in pixels at which "bilateral", "markov", "absorb" and "tight" decide.
        click_decision: points by "refine" (the method) or "markov" (M2N2).
        mark_threshold: of points, a line or a box that are refined: "fixed" (`background`), or "otsu": chosen from the
            map's own values.
        negative_points: from the map of points and lines "subtract" theirs, or leave each cell the "share" that is not
            theirs: m becomes m * m / (m + n).
        box_decision: a box by "refine" (the method), "absorb": what hangs together with the outside is not in it, or
            "tight": likewise, and places whose own maps fill the box count three times as much (`iseg.tight`).
        pieces: of each object of points, a line, a box or boxes keep "all", the "largest", or those that a point or
            line lies in ("clicked"; without such a mark all, the largest if all of them miss).
        clip_box: nothing outside an object's box.
    """

    prompt: str = "a photography of {classes} and other object and background"
    context: str = ""
    enhancement: float = 1.6
    looks: list[float] = field(default_factory=lambda: [1.0])
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
    upsample: Literal["bilinear", "bilateral"] = "bilinear"
    upsample_cells: float = 1.0
    upsample_range: float = 0.1
    decision_size: int = 200
    outline: Literal["map", "cut"] = "map"
    outline_size: int = 400
    click_decision: Literal["refine", "markov"] = "refine"
    mark_threshold: Literal["fixed", "otsu"] = "fixed"
    negative_points: Literal["subtract", "share"] = "subtract"
    box_decision: Literal["refine", "absorb", "tight"] = "refine"
    pieces: Literal["all", "largest", "clicked"] = "all"
    clip_box: bool = False

    def __post_init__(self) -> None:
        limits = {
            "enhancement": (0, 100),
            "entropy": (0, 1000),
            "iterations": (0, 1000),
            "cluster_rounds": (1, 1000),
            "cluster_stride": (1, 1000),
            "entropy_clamp_max": (1e-6, 1e6),
            "working_size": (1, 8192),
            "upsample_cells": (0.01, 4),
            "upsample_range": (0.001, 100),
            "decision_size": (16, 8192),
            "outline_size": (16, 8192),
        }
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if value is None and name in ("entropy_clamp_max", "working_size"):
                continue
            if not isinstance(value, (int, float)) or not low <= value <= high:
                raise InputError(f"{name} is {echo(value)}: expected a number in {low}..{high}")
        if self.background != "power" and not 0 <= float(self.background) <= 1:
            raise InputError(f"background is {echo(self.background)}: expected power or a threshold in 0..1")
        if not self.looks or self.looks[0] != 1 or not all(0.5 <= each <= 2 for each in self.looks):
            raise InputError(
                f"looks is {echo(self.looks)}: expected shares of the model's size in 0.5..2, the first 1, e.g. 1,0.7"
            )
        if self.prompt.count("{classes}") != 1:
            raise InputError(f"prompt is {echo(self.prompt)}: expected a template that holds {{classes}} once")
        if "{classes}" in self.context:
            raise InputError(f"context is {echo(self.context)}: expected words without {{classes}}")
        weights = self.cross_weights.values()
        if not all(0 <= weight <= LARGEST_WEIGHT for weight in weights) or not sum(weights) > 0:
            given = echo(self.cross_weights) if self.cross_weights else "empty"
            raise InputError(
                f"cross_weights is {given}: expected {{resolution: weight}}, e.g. {{16: 0.7, 32: 0.3}}, "
                f"up to {LARGEST_WEIGHT:g}"
            )

    def pass_key(self, words: Sequence[object]) -> str:
        """What an image's recorded pass depends on: equal keys, equal passes. Without words: the empty prompt's."""
        shared = [self.resize, self.looks, self.self_heads]
        own = [self.prompt, self.context, self.enhancement, self.cross_weights, self.cross_heads]
        return repr([*shared, *own, list(words)] if words else shared)

    def changed(self, **settings: Any) -> "Recipe":
        """A copy with some settings replaced; values are checked and converted like those of a YAML file."""
        if not settings:
            return self
        given = parse_values(Recipe, settings, "settings")
        return replace(self, **{key: given[key] for key in settings})


def load_recipe(name: str | Path, **settings: Any) -> Recipe:
    """The `recipe:` section of a configuration ("wsss/voc" or a path), with some settings replaced.

    Raises InputError naming file and key for anything unknown or of the wrong type.
    """
    path = find_config(name)
    return parse_settings(Recipe, {**read_section(path, "recipe"), **settings}, str(path))
