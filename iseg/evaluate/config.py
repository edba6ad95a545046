"""The settings of an evaluation, the variants that it compares, and which of them decide the masks."""

import itertools
import re
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Literal

from iseg.errors import InputError, echo
from iseg.recipe import Recipe
from iseg.shards import parse_shard


@dataclass(frozen=True)
class Data:
    """Which images, and which classes are asked for.

    Attributes:
        kind: layout of the data set: voc, context, coco, stuff171, ade150, cityscapes19, stuff27, cityscapes27, or
            folder (a plain folder of images).
        split: voc: train, val, trainval, train_aug; context: train, val; coco: train, val, object.
        root: folder of the data sets (for folder: of the images); by default ISEG_DATASETS, else datasets/.
        truth: for folder: folder of label PNGs.
        classes: class file, "voc20" or a path.
        background: whether 0 in the truth is a class that is scored; false ignores it, yet 0 in a mask is a miss where
            the truth has a class. ADE20k's 0 is always ignored.
        labels: JSON or CSV file of image-level labels; by default the classes present in the truth mask.
    """

    kind: Literal["voc", "context", "coco", "stuff171", "ade150", "cityscapes19", "stuff27", "cityscapes27", "folder"]
    split: str = "val"
    root: str | None = None
    truth: str | None = None
    classes: str = "voc20"
    background: bool = True
    labels: str | None = None


@dataclass(frozen=True)
class Evaluation:
    """Settings of an evaluation.

    Attributes:
        data: images and classes.
        recipe: how a mask is made; a file without this section takes the backbone's own.
        repaired: settings of the recipe that replace the published ones with `prompt: repaired`.
        prompt: "published" repeats the published prompt to the letter.
        entropy_reduction: false sets the recipe's entropy to 0.
        model: a backbone ("sd21-base", "tiny"), a diffusers folder, a .safetensors file or a hub id.
        backbone: row of configs/backbones/ whose layers fit a folder, file or hub id.
        device: auto, cpu, cuda, mps.
        dtype: auto is float16 on cuda, float32 on mps; on the cpu bfloat16 where the processor computes in it, else
            mixed (float16 weights, float32 arithmetic).
        vae: taesd, or a folder with an AutoencoderTiny: faster and less exact than the model's own.
        out: folder of the results.
        batch_size: images per pass.
        readers: threads that read images ahead of the model.
        limit: only the first images of the split.
        shard: I/N: only the I-th of N parts of the images, split by name; `iseg gather OUT` makes one run of all parts.
        save_scores: keep the score maps (float16) in OUT/scores.
        views: of every picture, averaged: sizes in pixels, "flip" for the mirror image of each, e.g. "512,384,flip".
        seeds: noise seeds whose maps are averaged, from the model's own on; each alone is scored, too.
        variants: {name: settings of the recipe}: evaluated side by side, each in its own folder below OUT.
        sweep: {setting of the recipe: values}: every combination becomes a variant.
    """

    data: Data
    recipe: Recipe
    repaired: dict[str, Any] = field(default_factory=dict)
    prompt: Literal["published", "repaired"] = "published"
    entropy_reduction: bool = True
    model: str = "sd21-base"
    backbone: str | None = None
    device: str = "auto"
    dtype: Literal["auto", "float32", "float16", "bfloat16", "mixed"] = "auto"
    vae: str | None = None
    out: str = "runs/evaluation"
    batch_size: int = 1
    readers: int = 4
    limit: int | None = None
    shard: str | None = None
    save_scores: bool = False
    views: str | None = None
    seeds: int = 1
    variants: dict[str, dict[str, Any]] = field(default_factory=dict)
    sweep: dict[str, list[Any]] = field(default_factory=dict)
    entry: ClassVar[str] = "evaluate"  # which entry gathers its shards, see `iseg.cli.gather`

    @property
    def part(self) -> tuple[int, int] | None:
        """The shard (I, N), or None for all images."""
        return None if self.shard is None else parse_shard(self.shard)

    def decides(self) -> dict[str, Any]:
        """Settings of a kind of evaluation that decide the masks, too, as plain values."""
        return {}

    def averages(self) -> dict[str, Any]:
        """Those of `views` and `seeds` that make several passes of an image; {} for the published single one."""
        several = {"views": self.views, "seeds": self.seeds}
        return {key: value for key, value in several.items() if value not in (None, 1)}

    def __post_init__(self) -> None:
        for name in ("batch_size", "readers", "limit", "seeds"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name} is {value}: expected at least 1")
        _ = self.part  # a shard that there cannot be is told of at once
        if self.averages() and type(self) is not Evaluation:
            raise InputError(
                f"{', '.join(self.averages())} was given: expected without; only runs with known classes average"
            )


@dataclass(frozen=True)
class Variant:
    """One way to make masks within an evaluation: its name, its folder below OUT ("" = OUT itself), its recipe."""

    name: str
    folder: str
    recipe: Recipe


def variants(evaluation: Evaluation) -> list[Variant]:
    """What is evaluated: the recipe alone, or the named variants, or every combination of a sweep.

    Raises InputError for settings the recipe does not have and for names that would share a folder.
    """
    if evaluation.variants and evaluation.sweep:
        raise InputError("variants and sweep were both given: expected one of them")
    named = dict(evaluation.variants)
    for values in itertools.product(*evaluation.sweep.values()) if evaluation.sweep else ():
        settings = dict(zip(evaluation.sweep, values, strict=True))
        named[" ".join(f"{key}={value}" for key, value in settings.items())] = settings
    if not named:
        return [Variant("", "", _looking_once(evaluation.recipe))]
    made = []
    for name, settings in named.items():
        try:
            recipe = _looking_once(evaluation.recipe.changed(**settings))
        except InputError as error:
            raise InputError(f"variant {echo(name)}: {error}") from None
        made.append(Variant(name, re.sub(r"[^a-z0-9.=]+", "-", name.lower()).strip("-.") or "variant", recipe))
    folders = [variant.folder for variant in made]
    shared = [variant.name for variant in made if folders.count(variant.folder) > 1]
    if shared:
        raise InputError(f"variants {' and '.join(map(repr, shared))} would share a folder: rename one")
    return made


def _looking_once(recipe: Recipe) -> Recipe:
    if len(recipe.looks) > 1:
        raise InputError(f"looks is {echo(recipe.looks)}: expected [1] for a data set, whose maps of several sizes are "
                         "averaged by views, e.g. views: 512,384")  # fmt: skip
    return recipe


def computed(evaluation: Evaluation, recipe: Recipe) -> dict[str, Any]:
    """The settings that decide the masks, as plain values; how the run is done (device, batches, ...) is not in it.

    The model is known by its weights, the labels of an image lie beside its mask. A precision that was not asked for
    goes with the device.
    """
    # a data set may be moved; a plain folder has no splits, and is known by the names of its images
    kept = ("kind",) if evaluation.data.kind == "folder" else ("kind", "split")
    return {
        "data": {key: getattr(evaluation.data, key) for key in kept},
        "labels": "truth" if evaluation.data.labels is None else "file",
        "recipe": asdict(recipe),
        "dtype": evaluation.dtype,
        **evaluation.averages(),
        **evaluation.decides(),
    }
