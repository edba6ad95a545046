"""Settings of `iseg segment`: defaults <- backbone or recipe <- YAML file <- command line."""

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from iseg.backbones.find import find_row, locate
from iseg.backbones.table import BackboneRow, load_row
from iseg.cli.inputs import KINDS
from iseg.cli.maps import asked_words, check_maps
from iseg.cli.options import EPILOG, Segment
from iseg.cli.parser import LineParser
from iseg.cli.prompt_file import read_prompts
from iseg.cli.prompts import WAYS, Prompt, parse_prompt
from iseg.errors import InputError, echo
from iseg.extras import import_extra
from iseg.notation import check_numbers, options_given
from iseg.recipe import Recipe, load_recipe
from iseg.settings import make_parser, parsed, refuse_null
from iseg.shards import parse_shard
from iseg.texts import is_file, read_yaml


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


def read_job(arguments: list[str], free: bool = False) -> Job:
    """Parse and check. Raises InputError; SystemExit for --help and --print_config.

    free: nothing to look for need be given; the job then has no prompt.
    """
    first = LineParser(add_help=False, allow_abbrev=False)
    for option in ("--config", "--model", "--backbone", "--recipe"):
        first.add_argument(option)
    early, _ = first.parse_known_args(arguments)
    content = _read_config(early.config)
    chosen = {key: getattr(early, key) or content.get(key) for key in ("model", "backbone", "recipe")}
    helping = bool({"-h", "--help"} & set(arguments))
    model, note = (chosen["model"] or "sd21-base", None) if helping else choose_model(chosen["model"])
    row = find_row(model, chosen["backbone"])
    base = load_recipe(chosen["recipe"]) if chosen["recipe"] else row.own_recipe()

    parser = make_parser(prog="iseg segment", description="Cut images into objects.", allow_abbrev=False)
    parser.epilog = EPILOG
    parser.add_argument("images", nargs="*", default=[], metavar="IMAGE", help="image files and folders of images")
    parser.add_argument("--config", action="config", help="YAML file with any of the settings below")
    parser.add_class_arguments(Segment, None)
    parser.add_class_arguments(Recipe, None)
    parser.set_defaults(asdict(base))
    for kind in (Segment, Recipe):
        check_numbers(kind, content, str(early.config))
        check_numbers(kind, options_given(arguments), "", "--")
    if content:
        parsed(parser.parse_object, content, str(early.config))
    values = parsed(parser.parse_args, arguments, "")
    for kind in (Segment, Recipe):
        refuse_null(kind, values)
    settings = Segment(**{field.name: values[field.name] for field in fields(Segment)} | {"model": model})
    recipe = Recipe(**{field.name: values[field.name] for field in fields(Recipe)})
    return _checked(values.images or [], settings, recipe, row, note, free)


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


def _checked(
    images: list[str], settings: Segment, recipe: Recipe, row: BackboneRow, note: str | None, free: bool = False
) -> Job:
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
    elif not free or any(value is not None for value in given.values()):
        prompt = parse_prompt(given)
    if settings.clip is not None and settings.vocabulary is None:
        raise InputError("--clip was given without --vocabulary: expected both")
    if settings.shard is not None:
        parse_shard(settings.shard)
    save = _kinds(settings.save)
    check_maps(settings, prompt, save)
    for each in [prompt] if prompt else prompts.values():
        row.check_words(asked_words(settings, each))
    row.fitted(recipe, settings.size)
    _check_folder(settings.out)
    return Job(images, settings, recipe, row, prompt, save, note, prompts)


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
