"""Settings of `iseg segment`: defaults <- backbone or recipe <- YAML file <- command line."""

import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from jsonargparse import ArgumentError, ArgumentParser

from iseg.backbones.find import find_row, locate
from iseg.backbones.table import BackboneRow, load_row
from iseg.cli.inputs import KINDS
from iseg.cli.parser import LineParser
from iseg.cli.prompts import Numbers, parse_box, parse_classes, parse_points, parse_vocabulary
from iseg.errors import InputError
from iseg.marks import Marks
from iseg.recipe import Recipe, load_recipe
from iseg.settings import read_yaml

WAYS = ("classes", "vocabulary", "points", "line", "box")  # of saying what to segment

EPILOG = """\
Give exactly one of --classes, --vocabulary, --points, --line, --box. Each image's mask is OUT/NAME.png (indexed, 0 =
background), its settings lie beside it in OUT/NAME.json. Exit codes: 0 all fine, 1 some images failed, 2 bad usage."""


@dataclass(frozen=True)
class Segment:
    """What to segment, with which model, and what to save.

    Attributes:
        classes: words set apart by ";", e.g. "cat; potted plant".
        vocabulary: words set apart by ";", or a file with one per line: CLIP finds which of them each image shows,
            and these are segmented.
        clip: folder or hub id of the CLIP that does so; by default the one that goes with the model.
        points: pixels "x,y x,y ..." of one object.
        negative: with points: pixels "x,y x,y ..." that do not belong to it.
        line: pixels "x,y x,y ..." of a line through one object.
        box: corners "x0,y0,x1,y1" in pixels around one object.
        model: tiny, sd21-base, a diffusers folder, a .safetensors file or a hub id; by default sd21-base if its
            weights are at hand, else tiny.
        backbone: row of configs/backbones/ whose layers fit a folder, file or hub id.
        recipe: "wsss/voc" or a YAML file with a section `recipe:`: defaults of the settings below.
        device: auto, cpu, cuda or mps.
        dtype: auto is float16 on cuda, float32 on mps; on the cpu bfloat16 where the processor computes in it, else
            mixed (float16 weights, float32 arithmetic).
        vae: taesd, or a folder with an AutoencoderTiny: faster and less exact than the model's own.
        out: folder of the results.
        save: mask, overlay, heat, cutout, scores, coco, panel, animation: any of them, set apart by commas.
        animation: format of the animation.
    """

    classes: str | list[str] | None = None
    vocabulary: str | list[str] | None = None
    clip: str | None = None
    points: Numbers | None = None
    negative: Numbers | None = None
    line: Numbers | None = None
    box: str | list[float] | None = None
    model: str | None = None
    backbone: str | None = None
    recipe: str | None = None
    device: str = "auto"
    dtype: Literal["auto", "float32", "float16", "bfloat16", "mixed"] = "auto"
    vae: str | None = None
    out: str = "iseg-results"
    save: str | list[str] = "mask,overlay"
    animation: Literal["webp", "gif"] = "webp"


@dataclass(frozen=True)
class Job:
    """Checked settings.

    Attributes:
        images: files and folders as given.
        settings, recipe, row: as resolved; settings.model is never None.
        classes: words, or None when `vocabulary` or `marks` say what to segment.
        vocabulary: words to choose from, or None.
        marks: points, line or box.
        save: kinds of results.
        note: a line for the user on how the model was chosen, or None.
    """

    images: list[str]
    settings: Segment
    recipe: Recipe
    row: BackboneRow
    classes: list[str] | None
    vocabulary: list[str] | None
    marks: Marks
    save: list[str]
    note: str | None


def read_job(arguments: list[str]) -> Job:
    """Parse and check. Raises InputError; SystemExit for --help and --print_config."""
    first = LineParser(add_help=False, allow_abbrev=False)
    for option in ("--config", "--model", "--backbone", "--recipe"):
        first.add_argument(option)
    early, _ = first.parse_known_args(arguments)
    content = _read_config(early.config)
    chosen = {key: getattr(early, key) or content.get(key) for key in ("model", "backbone", "recipe")}
    helping = bool({"-h", "--help"} & set(arguments))
    model, note = (chosen["model"] or "sd21-base", None) if helping else choose_model(chosen["model"])
    row = find_row(model, chosen["backbone"])
    base = load_recipe(chosen["recipe"]) if chosen["recipe"] else Recipe().changed(**row.recipe)

    parser = ArgumentParser(
        prog="iseg segment", description="Cut images into objects.", exit_on_error=False, allow_abbrev=False
    )
    parser.epilog = EPILOG
    parser.add_argument("images", nargs="*", default=[], metavar="IMAGE", help="image files and folders of images")
    parser.add_argument("--config", action="config", help="YAML file with any of the settings below")
    parser.add_class_arguments(Segment, None)
    parser.add_class_arguments(Recipe, None)
    parser.set_defaults(asdict(base))
    if content:
        _parsed(parser.parse_object, content, str(early.config))
    values = _parsed(parser.parse_args, arguments, "")
    settings = Segment(**{field.name: values[field.name] for field in fields(Segment)} | {"model": model})
    recipe = Recipe(**{field.name: values[field.name] for field in fields(Recipe)})
    return _checked(values.images or [], settings, recipe, row, note)


def _read_config(path: str | None) -> dict[str, Any]:
    if path is None:
        return {}
    if not Path(path).is_file():
        raise InputError(f"--config {path}: no such file: expected a YAML file of settings")
    content = read_yaml(Path(path))
    if isinstance(content.get("recipe"), dict):
        raise InputError(f"{path}: 'recipe' holds settings: give this file with --recipe, or its settings one level up")
    for key in ("model", "backbone", "recipe"):
        if not isinstance(content.get(key), str | None):
            raise InputError(f"{path}: {key} is {content[key]!r}: expected a text")
    return content


def choose_model(given: str | None) -> tuple[str, str | None]:
    """The model and a note: sd21-base if its weights are on this machine, else tiny, unless one was given."""
    if given:
        return given, None
    try:
        locate(load_row("sd21-base"), download=False)
    except InputError:
        return "tiny", "no weights of sd21-base are at hand: using tiny, which knows pictograms; see `iseg models`"
    return "sd21-base", None


def _parsed(parse: Any, source: Any, where: str) -> Any:
    try:
        return parse(source)
    except ArgumentError as error:
        message = re.sub(r"\s+", " ", str(error))
        message = re.sub(r"<class '([^']*)'>", r"\1", message.replace("typing.", "").replace("NoneType", "null"))
        message = re.sub(r'Parser key "([^"]*)": ', r"\1: ", message)
        message = re.sub(
            r"Does not validate against any of the Union subtypes Subtypes: \[(.*?)\] Errors: .*Given value: (.*)",
            r"expected one of \1, got \2",
            message,
        )
        raise InputError(f"{where}: {message}" if where else message) from None


def _checked(images: list[str], settings: Segment, recipe: Recipe, row: BackboneRow, note: str | None) -> Job:
    if not images:
        raise InputError(
            "no image was given: expected image files or folders, e.g. iseg segment photo.jpg --classes cat"
        )
    asked = {key: getattr(settings, key) for key in WAYS}
    ways = [f"--{key}" for key, value in asked.items() if value is not None]
    if len(ways) != 1:
        given = " and ".join(ways) or "nothing to look for"
        raise InputError(f"{given} was given: expected exactly one of {', '.join(f'--{key}' for key in WAYS)}")
    if settings.clip is not None and settings.vocabulary is None:
        raise InputError("--clip was given without --vocabulary: expected both")
    if settings.negative is not None and settings.points is None:
        raise InputError("--negative was given without --points: expected both")
    marks = Marks(
        points=() if settings.points is None else parse_points("--points", settings.points),
        negative=() if settings.negative is None else parse_points("--negative", settings.negative),
        lines=() if settings.line is None else [parse_points("--line", settings.line)],
        boxes=() if settings.box is None else [parse_box("--box", settings.box)],
    )
    classes = None if settings.classes is None else parse_classes(settings.classes)
    vocabulary = None if settings.vocabulary is None else parse_vocabulary(settings.vocabulary)
    row.check_words(classes or vocabulary or [])
    row.layers(recipe)
    _check_folder(settings.out)
    kinds = _kinds(settings.save)
    return Job(images, settings, recipe, row, classes, vocabulary, marks, kinds, note)


def _check_folder(out: str) -> None:
    """Raises InputError if the folder cannot be made because it, or what it lies in, is a file."""
    for path in (Path(out), *Path(out).parents):
        if path.is_file():
            what = "is a file" if path == Path(out) else f"cannot be made: {path} is a file"
            raise InputError(f"--out {out} {what}: expected a folder")


def _kinds(given: str | list[str]) -> list[str]:
    wanted = [kind.strip() for kind in (given.split(",") if isinstance(given, str) else given)]
    for kind in wanted:
        if kind not in KINDS:
            raise InputError(f"--save: {kind!r} is not known: expected any of {', '.join(KINDS)}")
    return list(dict.fromkeys(wanted))
