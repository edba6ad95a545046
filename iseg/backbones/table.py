"""The table of backbones: which UNet, where its weights are, and what its layers are called."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from iseg.attention import Layers, choose_heads
from iseg.errors import InputError, echo
from iseg.recipe import Recipe
from iseg.settings import configs_folder, parse_settings, read_yaml


@dataclass(frozen=True)
class BackboneRow:
    """A row of the table in `configs/backbones/`.

    Attributes:
        name: file name without `.yaml`.
        sources: where the weights are looked for, in order: `package:PATH` (inside the iseg package), a local folder,
            a hub id, or `modelscope:ID`; or a mapping {id, revision, sha256}, see `iseg.backbones.sources.Source`.
        image_size: side of the square the image is resized to, in pixels.
        timestep, noise_seed: of the one noised pass.
        cross_layers: {resolution: {layer: head count}} in execution order; what flat head indices refer to.
        self_layers: {layer: head count}, likewise.
        head_layers: {layer: head count} in the order in which the product of single heads takes them (CLIPer); by
            default `self_layers`.
        recipe: settings that differ from the defaults of `Recipe` when no recipe is named.
        interactive: further ones, for one image at a time (`iseg segment`, the page); evaluations do not take them.
        cpu_dtype: what `dtype="auto"` is on the CPU; see `iseg.backbones.load.pick_dtype`.
        words: the only class words the model knows; None = any.
        note: one line for people.
        licence: of the weights.
        family: "sd1", "sd2", "sdxl" or "tiny", see `iseg.backbones.family`; None = weights of any are taken.
        pad_token: what the model's tokenizer pads with; None = anything.
        pad_token_2: likewise of the second tokenizer, where the family has one.
        tokens: length L of a prompt in tokens.
        architecture: folders of `configs/backbones/` with the configurations that a single file needs, each part taken
            from the first that has it; by default the one called like the row.
    """

    name: str
    sources: list[str | dict[str, Any]]
    cross_layers: dict[int, dict[str, int]]
    self_layers: dict[str, int]
    image_size: int = 512
    timestep: int = 100
    noise_seed: int = 1101
    recipe: dict[str, Any] = field(default_factory=dict)
    interactive: dict[str, Any] = field(default_factory=dict)
    cpu_dtype: str = "auto"
    words: list[str] | None = None
    note: str = ""
    licence: str = ""
    family: str | None = None
    pad_token: str | None = None
    pad_token_2: str | None = None
    tokens: int = 77
    architecture: list[str] = field(default_factory=list)
    head_layers: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.head_layers:
            object.__setattr__(self, "head_layers", dict(self.self_layers))

    def own_recipe(self) -> Recipe:
        """The interactive settings of the backbone."""
        return Recipe().changed(**{**self.recipe, **self.interactive})

    def at_size(self, size: int) -> "BackboneRow":
        """The same for squares of `size` pixels, whose resolutions are as much finer or coarser.

        Raises InputError for a size at which a recorded resolution is no whole number, and for one that is less than
        half or more than twice that of the model, which was never shown such.
        """
        sizes = self._sizes
        if size not in sizes:
            raise InputError(
                f"size {size}: {self.name} takes multiples of {sizes.step} from {sizes[0]} to {sizes[-1]}, best "
                f"{self.image_size}"
            )
        layers = {each * size // self.image_size: chosen for each, chosen in self.cross_layers.items()}
        return replace(self, image_size=size, cross_layers=layers)

    @property
    def _sizes(self) -> range:
        """Sides of the squares that the model can look at, in pixels."""
        step = math.lcm(*(self.image_size // math.gcd(self.image_size, each) for each in self.cross_layers))
        return range(math.ceil(self.image_size / 2 / step) * step, 2 * self.image_size + 1, step)

    def look_sizes(self, recipe: Recipe) -> list[int]:
        """Sides of the squares that a recipe of this row looks by, in pixels: the nearest that the model can take."""
        wanted = [share * self.image_size for share in recipe.looks[1:]]
        return [self.image_size, *(min(self._sizes, key=lambda size: abs(size - side)) for side in wanted)]

    def recipe_at(self, recipe: Recipe, size: int) -> Recipe:
        """A recipe of this row for `at_size`: the same layers, and as many first prototypes of the clusters."""
        scale = Fraction(size, self.image_size)
        heads = recipe.cross_heads
        changed: dict[str, Any] = {
            "cross_weights": {int(each * scale): weight for each, weight in recipe.cross_weights.items()},
            "cross_heads": heads and {int(each * scale): chosen for each, chosen in heads.items()},
            "cluster_stride": max(1, round(recipe.cluster_stride * scale)),
        }
        return recipe.changed(**changed)

    def fitted(self, recipe: Recipe, size: int | None) -> tuple["BackboneRow", Recipe]:
        """This row and a recipe of it, both for squares of `size` pixels; None is the model's own size.

        Raises InputError for a recipe that does not fit and for a size that the model cannot take.
        """
        self.layers(recipe)
        return (self, recipe) if size is None else (self.at_size(size), self.recipe_at(recipe, size))

    def check_words(self, words: Iterable[str]) -> None:
        """Raises InputError that lists the known words if the model does not know one of `words`."""
        known = None if self.words is None else {word.casefold() for word in self.words}
        for word in words:
            if known is not None and word.strip().casefold() not in known:
                raise InputError(
                    f"{self.name} does not know {echo(word.strip())}: it knows {', '.join(self.words or [])}"
                )

    def layers(self, recipe: Recipe) -> Layers:
        """The layers and heads that a recipe records. Raises InputError for a resolution or head that is not there."""
        cross = {}
        for resolution in recipe.cross_weights:
            if resolution not in self.cross_layers:
                raise InputError(
                    f"cross_weights names resolution {resolution}: backbone {self.name} has {sorted(self.cross_layers)}"
                )
            heads = (recipe.cross_heads or {}).get(resolution)
            cross[resolution] = choose_heads(self.cross_layers[resolution], heads, f"cross_heads at {resolution}")
        return Layers(cross, choose_heads(self.self_layers, recipe.self_heads, "self_heads"))


def load_row(name: str) -> BackboneRow:
    """A row of `configs/backbones/`. Raises InputError listing the rows if it is not there."""
    path = configs_folder() / "backbones" / f"{name}.yaml"
    if not path.is_file():
        raise InputError(f"no backbone {echo(name)}: expected one of {', '.join(row_names())}")
    return parse_settings(BackboneRow, {"name": name, **read_yaml(path)}, str(path))


def row_names() -> list[str]:
    """Names of all backbones of the table."""
    return sorted(path.stem for path in (configs_folder() / "backbones").glob("*.yaml"))


def with_sources(backbone: BackboneRow, sources: Sequence[str | dict[str, Any]]) -> BackboneRow:
    """The same backbone with its weights from somewhere else."""
    return replace(backbone, sources=list(sources))
