"""Where weights come from: the embedded model, a local folder or file, a hub or its mirrors."""

from pathlib import Path
from typing import Any

from iseg.backbones.family import row_for
from iseg.backbones.table import BackboneRow, load_row, row_names, with_sources
from iseg.errors import InputError

COMPONENTS = ("unet", "vae", "text_encoder", "tokenizer", "scheduler")
DOWNLOADED = ["*.json", "tokenizer/*", *(f"{part}/*.safetensors" for part in ("unet", "vae", "text_encoder"))]
UNUSED = ["*non_ema*", "*.fp16.safetensors", "safety_checker/*", "feature_extractor/*"]


def find_row(name: str | Path, table: str | None = None) -> BackboneRow:
    """The backbone a user means: a name of the table, a local folder or `.safetensors` file, or a hub id "owner/name".

    Args:
        name: what the user gave.
        table: name of the table row whose layers and recipe a folder, file or hub id uses; by default that of
            the family it looks like, else sd21-base.
    """
    if str(name) in row_names():
        return load_row(str(name))
    row = load_row(table or row_for(name))
    path = Path(name)
    if path.exists() or str(name).count("/") == 1:
        return with_sources(row, [str(name)])
    raise InputError(
        f"no model {str(name)!r}: expected {', '.join(row_names())}, a diffusers folder, a .safetensors file "
        "or a hub id owner/name"
    )


def locate(backbone: BackboneRow, download: bool = True) -> Path:
    """The folder or file with a backbone's weights: the first of its sources that can be had.

    Args:
        backbone: row of the table.
        download: False looks only at what is on this machine (the package, local paths, the hub's cache).

    Raises InputError that lists what was tried and how to point to a copy.
    """
    tried = []
    for source in backbone.sources:
        try:
            return _fetch(source, download)
        except (OSError, ValueError, ImportError) as error:  # what hub clients raise for "cannot be had"
            tried.append(f"{source} ({_reason(error)})")
    raise InputError(
        f"the weights of {backbone.name} cannot be had; tried {'; '.join(tried)}. Give a local diffusers folder or "
        ".safetensors file with --model PATH, or set HF_ENDPOINT to a mirror or HF_HOME to a filled cache"
    )


def locate_tokenizer(file: Path, backbone: BackboneRow) -> Path:
    """The tokenizer folder for a single-file model, which has none: beside the file, else from the table's sources.

    Raises InputError that says how to provide one.
    """
    beside = file.parent / "tokenizer"
    if beside.is_dir():
        return beside
    for source in load_row(backbone.name).sources:
        try:
            return _fetch(source, download=True, patterns=["tokenizer/*"]) / "tokenizer"
        except (OSError, ValueError, ImportError):
            continue
    raise InputError(f"{file} holds no tokenizer: put the model's tokenizer folder beside it, as {beside}")


def _fetch(source: str, download: bool, patterns: list[str] = DOWNLOADED) -> Path:
    if source.startswith("package:"):
        path = Path(__file__).parent.parent / source.removeprefix("package:")
        if not path.is_dir():
            raise FileNotFoundError("not in this installation")
        return path
    if Path(source).exists():
        return Path(source)
    options: dict[str, Any] = {"allow_patterns": patterns, "ignore_patterns": UNUSED, "local_files_only": not download}
    if source.startswith("modelscope:"):
        from modelscope import snapshot_download as from_modelscope  # an optional package

        return Path(from_modelscope(source.removeprefix("modelscope:"), **options))
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(source, **options))


def _reason(error: Exception) -> str:
    """A hub client's message on one line, its type when it says nothing."""
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return first[:160] or type(error).__name__


def check_folder(folder: Path) -> None:
    """Raises InputError unless the folder has every component of a diffusers Stable Diffusion model."""
    missing = [part for part in COMPONENTS if not (folder / part).is_dir()]
    if missing:
        raise InputError(
            f"{folder} is not a Stable Diffusion folder in diffusers format: it lacks {', '.join(missing)} "
            f"(expected {', '.join(COMPONENTS)})"
        )
    for part in ("unet", "vae", "text_encoder"):
        if not list((folder / part).glob("*.safetensors")):
            raise InputError(f"{folder / part} has no .safetensors file: other weight formats are not read")
