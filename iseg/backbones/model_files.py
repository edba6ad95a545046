"""Which files of a diffusers repository or folder are used, and whether they are all there."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from iseg.backbones.fetch import Wanted
from iseg.backbones.read import HALF, PARTS, check_whole, choose_weights, weight_files
from iseg.errors import InputError
from iseg.settings import read_yaml

COMPONENTS = ("unet", "vae", "text_encoder", "tokenizer", "scheduler")
SECOND = ("text_encoder_2", "tokenizer_2")  # SDXL's
INDEX = "model_index.json"
TEXTS = (".json", ".txt")


def model_files(half: bool) -> Wanted:
    """The files of a Stable Diffusion repository that are used when its weights are held in float16 or not.

    No safety checker, feature extractor, other formats or training weights; of fp16 and plain files one kind.
    """
    texts = [INDEX, *(f"{part}/*{end}" for part in (*COMPONENTS, *SECOND) for end in TEXTS)]
    kinds = {HALF: [f"{part}/*.{HALF}*.safetensors" for part in PARTS],
             "": [f"{part}/{stem}{shards}.safetensors" for part in PARTS
                  for stem in ("model", "diffusion_pytorch_model") for shards in ("", "-*-of-*")]}  # fmt: skip
    order = [HALF, ""] if half else ["", HALF]
    return Wanted(
        choose=lambda names: choose_files(names, half),
        patterns=[texts + kinds[kind] for kind in order],
        check=lambda folder: check_folder(folder, half),
    )


def tokenizer_files() -> Wanted:
    """The tokenizer alone."""

    def check(folder: Path) -> None:
        if not (folder / "tokenizer").is_dir():
            raise InputError("no tokenizer")

    def choose(names: Sequence[str]) -> list[str]:
        found = [name for name in names if name.startswith("tokenizer/") and name.endswith(TEXTS)]
        if not found:
            raise InputError("no tokenizer")
        return found

    return Wanted(choose, [["tokenizer/*"]], check)


def choose_files(names: Sequence[str], half: bool) -> list[str]:
    """The used ones among the names "part/file" of a repository's files. InputError if a part has no safetensors."""
    inside: dict[str, list[str]] = {}
    for name in names:
        folder, _, file = name.rpartition("/")
        inside.setdefault(folder, []).append(file)
    missing = [part for part in COMPONENTS if part not in inside]
    if missing:
        raise InputError(f"no Stable Diffusion in diffusers format: it lacks {', '.join(missing)}")
    chosen = [INDEX] if INDEX in inside.get("", []) else []
    for part in (*COMPONENTS, *SECOND):
        chosen += [f"{part}/{file}" for file in sorted(inside.get(part, [])) if file.endswith(TEXTS)]
        if part in PARTS and part in inside:
            weights = choose_weights(inside[part], half)
            if not weights:
                raise InputError(f"{part} has no .safetensors file: other weight formats are not read")
            chosen += [f"{part}/{file}" for file in weights]
    return chosen


def check_folder(folder: Path, half: bool = False) -> None:
    """Raises InputError unless the folder has every component of a diffusers Stable Diffusion model, whole.

    half: the weights will be held in float16, which decides between the files of a part.
    """
    needed = [*COMPONENTS, *(part for part in SECOND if _is_named(folder, part))]
    missing = [part for part in needed if not (folder / part).is_dir()]
    if missing:
        raise InputError(
            f"{folder} is not a Stable Diffusion folder in diffusers format: it lacks {', '.join(missing)} "
            f"(expected {', '.join(needed)})"
        )
    for part in (part for part in PARTS if part in needed):
        files = weight_files(folder / part, half)
        if not files:
            raise InputError(f"{folder / part} has no .safetensors file: other weight formats are not read")
        for file in files:
            check_whole(file)


def listing(folder: Path) -> list[str]:
    """Names "part/file" of the files of a diffusers folder, as in a repository."""
    inside = [path for part in ("", *COMPONENTS, *SECOND) for path in (folder / part).glob("*") if path.is_file()]
    return [str(path.relative_to(folder).as_posix()) for path in inside]


def _is_named(folder: Path, part: str) -> bool:
    """Whether the folder's index names a part, e.g. text_encoder_2: [transformers, CLIPTextModelWithProjection]."""
    if not (folder / INDEX).is_file():
        return (folder / part).is_dir()
    entry: Any = read_yaml(folder / INDEX).get(part)  # JSON is YAML
    return isinstance(entry, list) and all(isinstance(name, str) for name in entry)
