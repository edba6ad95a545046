"""Settings of `iseg segment`: defaults <- backbone or recipe <- YAML file <- command line."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from iseg.backbones.find import find_row, locate
from iseg.backbones.table import BackboneRow, load_row
from iseg.cli.inputs import KINDS
from iseg.cli.parser import LineParser
from iseg.cli.prompt_file import read_prompts
from iseg.cli.prompts import WAYS, Numbers, Prompt, parse_prompt
from iseg.errors import InputError, echo
from iseg.extras import import_extra
from iseg.recipe import Recipe, load_recipe
from iseg.settings import make_parser, parsed
from iseg.texts import is_file, read_yaml

EPILOG = """\
Give exactly one of --classes, --vocabulary, --points, --line, --box, --boxes, --mask, --prompts. Each image's mask is
OUT/NAME.png (indexed, 0 = background), its settings lie beside it in OUT/NAME.json; of several images OUT/summary.json
says what became of each. Exit codes: 0 all fine, 1 some images failed, 2 bad usage, 130 Ctrl-C, 143 SIGTERM."""


@dataclass(frozen=True)
class Segment:
    """What to segment, with which model, and what to save.

    Attributes:
        classes: words set apart by ";", e.g. "cat; potted plant".
        vocabulary: words set apart by ";", or a file with one per line: CLIP finds which of them each image shows,
            and these are segmented.
        maps: with vocabulary: cross labels the image first (TagCLIP) and segments these labels; clip makes a map of
            every word (CLIPer), joined adds the cross-attention to it: absent words stay absent, "sofa|couch" is one
            class of two names.
        background_words: with maps clip or joined: words set apart by ";" for what is not asked for, in place of the
            default ones.
        clip: folder or hub id of the CLIP that does so; by default the one that goes with the model.
        points: pixels "x,y x,y ..." of one object.
        negative: with points: pixels "x,y x,y ..." that do not belong to it.
        line: pixels "x,y x,y ..." of a line through one object.
        box: corners "x0,y0,x1,y1" in pixels around one object.
        boxes: "x0,y0,x1,y1 x0,y0,x1,y1 ...": each box is an object and label of its own.
        names: with boxes: what their objects are called, set apart by ";".
        mask: image file of the same size whose pixels that are not 0 (or transparent) roughly cover one object.
        prompts: JSON or CSV file with a prompt for each image; its columns are image, and any of classes, points,
            negative, line, box, boxes, names, mask, written as here. Paths start at its folder. Without IMAGE all of
            its images are segmented.
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
        resume: keep what is done already with the same settings. By default for folders and several images, where
            results of other settings are an error; false makes all anew.
    """

    classes: str | list[str] | None = None
    vocabulary: str | list[str] | None = None
    maps: Literal["cross", "clip", "joined"] = "cross"
    background_words: str | list[str] | None = None
    clip: str | None = None
    points: Numbers | None = None
    negative: Numbers | None = None
    line: Numbers | None = None
    box: str | list[float] | None = None
    boxes: Numbers | None = None
    names: str | list[str] | None = None
    mask: str | None = None
    prompts: str | None = None
    model: str | None = None
    backbone: str | None = None
    recipe: str | None = None
    device: str = "auto"
    dtype: Literal["auto", "float32", "float16", "bfloat16", "mixed"] = "auto"
    vae: str | None = None
    out: str = "iseg-results"
    save: str | list[str] = "mask,overlay"
    animation: Literal["webp", "gif"] = "webp"
    resume: bool | None = None


@dataclass(frozen=True)
class Job:
    """Checked settings.

    Attributes:
        images: files and folders as given, or those of the file of prompts.
        settings, recipe, row: as resolved; settings.model is never None.
        prompt: what to segment in every image; None if each has its own.
        prompts: {resolved path of an image: its own prompt}.
        save: kinds of results.
        note: a line for the user on how the model was chosen, or None.
    """

    images: list[str]
    settings: Segment
    recipe: Recipe
    row: BackboneRow
    prompt: Prompt | None
    save: list[str]
    note: str | None
    prompts: dict[Path, Prompt] = field(default_factory=dict)

    def prompt_for(self, image: Path) -> Prompt:
        """What to segment in an image. Raises InputError for one that the file of prompts leaves out."""
        if self.prompt is not None:
            return self.prompt
        if image.resolve() not in self.prompts:
            raise InputError(f"{image}: has no prompt in {self.settings.prompts}: expected an entry for it")
        return self.prompts[image.resolve()]

    @property
    def vocabulary(self) -> list[str] | None:
        """The words to choose from, if that is asked for."""
        return None if self.prompt is None else self.prompt.vocabulary


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

    parser = make_parser(prog="iseg segment", description="Cut images into objects.", allow_abbrev=False)
    parser.epilog = EPILOG
    parser.add_argument("images", nargs="*", default=[], metavar="IMAGE", help="image files and folders of images")
    parser.add_argument("--config", action="config", help="YAML file with any of the settings below")
    parser.add_class_arguments(Segment, None)
    parser.add_class_arguments(Recipe, None)
    parser.set_defaults(asdict(base))
    if content:
        parsed(parser.parse_object, content, str(early.config))
    values = parsed(parser.parse_args, arguments, "")
    _check_given(values)
    settings = Segment(**{field.name: values[field.name] for field in fields(Segment)} | {"model": model})
    recipe = Recipe(**{field.name: values[field.name] for field in fields(Recipe)})
    return _checked(values.images or [], settings, recipe, row, note)


def _check_given(values: Mapping[str, Any]) -> None:
    """Raises InputError for a key left empty in YAML that has no such value: jsonargparse lets null pass."""
    for kind in (Segment, Recipe):
        for entry in fields(kind):
            if values[entry.name] is None and "None" not in str(entry.type):
                raise InputError(f"{entry.name} is null: expected a value, or no such key")


def _read_config(path: str | None) -> dict[str, Any]:
    if path is None:
        return {}
    if not is_file(path):
        raise InputError(f"--config {path}: no such file: expected a YAML file of settings")
    content = read_yaml(Path(path))
    if isinstance(content.get("recipe"), dict):
        raise InputError(f"{path}: 'recipe' holds settings: give this file with --recipe, or its settings one level up")
    for key in ("model", "backbone", "recipe"):
        if not isinstance(content.get(key), str | None):
            raise InputError(f"{path}: {key} is {echo(content[key])}: expected a text")
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


def _checked(images: list[str], settings: Segment, recipe: Recipe, row: BackboneRow, note: str | None) -> Job:
    if not images and settings.prompts is None:
        raise InputError(
            "no image was given: expected image files or folders, e.g. iseg segment photo.jpg --classes cat"
        )
    given = {key: getattr(settings, key) for key in (*WAYS, "negative", "names")}
    prompt, prompts = None, {}
    if settings.prompts is not None:
        others = [f"--{key}" for key, value in given.items() if value is not None]
        if others:
            raise InputError(f"--prompts and {others[0]} were given: expected one of them")
        prompts = read_prompts(Path(settings.prompts))
        images = images or [str(path) for path in prompts]
        prompts = {path.resolve(): each for path, each in prompts.items()}
    else:
        prompt = parse_prompt(given)
    if settings.clip is not None and settings.vocabulary is None:
        raise InputError("--clip was given without --vocabulary: expected both")
    _check_maps(settings, prompt)
    for each in [prompt] if prompt else prompts.values():
        row.check_words(_asked_words(settings, each))
    row.layers(recipe)
    _check_folder(settings.out)
    return Job(images, settings, recipe, row, prompt, _kinds(settings.save), note, prompts)


def _check_maps(settings: Segment, prompt: Prompt | None) -> None:
    """Raises InputError for options of CLIP's maps without them, and for what they cannot give."""
    if settings.maps == "cross":
        if settings.background_words is not None:
            raise InputError("--background_words was given without --maps clip or joined: expected both")
        return
    if prompt is None or prompt.vocabulary is None:
        raise InputError(f"--maps {settings.maps} was given without --vocabulary: expected both")
    if "animation" in _kinds(settings.save):
        raise InputError(f"--save animation was given with --maps {settings.maps}: expected --maps cross")


def _asked_words(settings: Segment, prompt: Prompt) -> list[str]:
    """The words that the diffusion model must know."""
    if settings.maps == "cross":
        return prompt.words
    return [] if settings.maps == "clip" else [word.split("|")[0].strip() for word in prompt.words]


def _check_folder(out: str) -> None:
    """Raises InputError if the folder cannot be made because it, or what it lies in, is a file."""
    if not out.strip() or "\0" in out:
        raise InputError(f"--out is {echo(out)}: expected a folder")
    for path in (Path(out), *Path(out).parents):
        if is_file(path):
            what = "is a file" if path == Path(out) else f"cannot be made: {path} is a file"
            raise InputError(f"--out {out} {what}: expected a folder")


def _kinds(given: str | list[str]) -> list[str]:
    wanted = [kind.strip() for kind in (given.split(",") if isinstance(given, str) else given)]
    for kind in wanted:
        if kind not in KINDS:
            raise InputError(f"--save: {echo(kind)} is not known: expected any of {', '.join(KINDS)}")
    if "coco" in wanted:
        import_extra("pycocotools", "data", "--save coco")  # told before anything is computed
    return list(dict.fromkeys(wanted))
