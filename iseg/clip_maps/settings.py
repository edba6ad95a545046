"""Settings of CLIP's maps (CLIPer, arXiv 2411.13836), read from the `clip_maps:` section of a configuration."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from iseg.errors import InputError
from iseg.recipe import Recipe
from iseg.settings import find_config, parse_settings, parse_values, read_yaml

Source = Literal["cross", "clip", "joined"]  # of first maps
Way = Literal["bilinear", "bilateral", "joint_bilateral"]  # to the image's size
LIMITS: dict[str, tuple[float, float]] = {
    "shortest_side": (16, 4096),
    "scale": (0.01, 10_000),
    "threshold": (0, 1),
    "score_threshold": (0, 1000),
    "background_threshold": (0, 1000),
    "crop": (0, 4096),
    "stride": (1, 4096),
    "timestep": (0, 999),
    "candidate": (0, 1000),
    "agreement_threshold": (0, 1000),
    "evidence_weight": (0, 10),
    "cross_weight": (0, 1),
}


@dataclass(frozen=True)
class ClipMaps:
    """Every setting that decides the maps of CLIP and the masks made of them, given the classes.

    Attributes:
        model: CLIP: a hub id, a local folder, or `package:PATH` inside the iseg package.
        names: what CLIP is told for the classes, in their order; None = the classes' prompt words. A name "sofa|couch"
            holds several, whose probabilities are added.
        background: words for what is not asked for; they take part in every softmax but are never a label.
        templates: "short15", "openai80" (`configs/clip_maps`), "tagclip", or a YAML list of sentences with `{}`.
        known_words: the only words the model knows; None = any.
        shortest_side: the image is scaled to this shorter side, in pixels.
        further_sides: maps of the image at these shorter sides are averaged in, too; mirror: and of mirrored images.
        patches: "fused", layer by layer by early layers' attention as published; or "apart", of the whole last block in
            which every token attends to itself alone, as TagCLIP and the small CLIP have it, without any spreading.
        scale: factor on the cosine before the softmax.
        select: layer whose map is taken: -1 = the last, -2 = the last but one.
        threshold: share of a map's maximum below which it counts as 0; the same of a self-attention column's.
        score_threshold: a class is alive above this score.
        background_threshold: a scaled map below this is background; 0 = the background scores (1 - maximum)^2.
        min_max: bring maps to [0, 1] before the decision, so that scores only decide which classes are alive.
        crop: side of the sliding window in pixels, 0 = none. stride: from window to window. With patches apart maps are
            of the windows alone: a small CLIP sees best what is as large as what it was trained with.
        refine: by which self-attention: "heads", the product of single heads as published; "entropy", the recipe's
            entropy-reduced mean with its iterations; or "none".
        timestep: of the pass that records the heads.
        iterations: of the entropy-reduced refinement, alone or joined; None = the recipe's.
        upsample: maps to the image's size, alone or joined: "bilinear"; along the picture's edges by rows and columns
            in turn ("bilateral", as the recipe's), or over a window ("joint_bilateral"); None = the recipe's.
        candidate: with `maps: joined`, classes whose CLIP map reaches this are asked the cross-attention for.
        agreement_threshold: with `maps: joined`, a class is alive if the mean of CLIP's map, where the refined map
            reaches half its maximum, lies above this.
        evidence_weight: with `maps: joined`, exponent of that mean, by which a class's map is multiplied where it
            competes with those of other classes; 0 = all are alike. What is background is not changed.
        join: with `maps: joined`, cross-attention "times" or "plus" CLIP's maps.
        views: with `maps: joined`, looks of the diffusion model at the picture whose maps are averaged (`iseg.views`),
            e.g. "512,704,flip"; None = the plain one.
        cross_weight: exponent (times) or weight (plus) of the cross-attention, 1 minus it of CLIP's.
    """

    model: str = "openai/clip-vit-large-patch14"
    names: list[str] | None = None
    background: list[str] = field(default_factory=list)
    templates: str = "openai80"
    known_words: list[str] | None = None
    shortest_side: int = 336
    further_sides: list[int] = field(default_factory=list)
    mirror: bool = False
    patches: Literal["fused", "apart"] = "fused"
    scale: float = 50.0
    select: int = -2
    threshold: float = 0.1
    score_threshold: float = 0.5
    background_threshold: float = 0.5
    min_max: bool = False
    crop: int = 0
    stride: int = 112
    refine: Literal["none", "heads", "entropy"] = "heads"
    timestep: int = 101
    iterations: int | None = None
    upsample: Way | None = None
    candidate: float = 0.3
    agreement_threshold: float = 0.3
    evidence_weight: float = 0.0
    join: Literal["times", "plus"] = "times"
    cross_weight: float = 0.5
    views: str | None = None

    def __post_init__(self) -> None:
        for name, (low, high) in LIMITS.items():
            if not low <= getattr(self, name) <= high:
                raise InputError(f"{name} is {getattr(self, name)!r}: expected a number in {low:g}..{high:g}")
        wrong = [side for side in self.further_sides if not 16 <= side <= 4096]
        if wrong:
            raise InputError(f"further_sides names {wrong[0]!r}: expected pixels in 16..4096")
        if self.select >= 0:
            raise InputError(f"select is {self.select}: expected -1 for the last layer, -2 for the last but one, ...")

    def recipe(self, recipe: Recipe) -> Recipe:
        """The recipe with the iterations and the upsampling in force: bilinear for a window, which it does not know."""
        upsample = "bilinear" if self.upsample == "joint_bilateral" else self.upsample
        given = {"iterations": self.iterations, "upsample": upsample}
        return recipe.changed(**{key: value for key, value in given.items() if value is not None})

    def way_up(self, recipe: Recipe) -> Way:
        """How maps come to the image's size with a recipe."""
        return self.upsample or recipe.upsample

    def changed(self, where: str, **settings: Any) -> "ClipMaps":
        """A copy with some settings replaced, checked as those of a file; `where` names their place in messages."""
        given = parse_values(ClipMaps, settings, where)
        return parse_settings(ClipMaps, {**vars(self), **{key: given[key] for key in settings}}, where)


def chosen_preset(settings: ClipMaps, presets: Mapping[str, Mapping[str, Any]], name: str | None) -> ClipMaps:
    """The settings with those of a named preset in place; None chooses none. Raises InputError listing the presets."""
    if name is None:
        return settings
    if name not in presets:
        raise InputError(
            f"clip_preset {name!r} is not known: expected one of {', '.join(presets) or 'none, there are none'}"
        )
    return settings.changed(f"clip_presets: {name}", **presets[name])


def load_clip_maps(name: str | Path, **settings: Any) -> ClipMaps:
    """The `clip_maps:` section of a configuration ("clip_maps/photographs" or a path), with some settings replaced.

    Raises InputError naming file and key for anything unknown or of the wrong type.
    """
    path = find_config(name)
    section = read_yaml(path).get("clip_maps")
    if not isinstance(section, dict):
        raise InputError(f"{path}: expected a section 'clip_maps:' with settings")
    return parse_settings(ClipMaps, {**section, **settings}, f"{path}: clip_maps")
