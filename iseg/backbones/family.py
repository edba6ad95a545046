"""Which family of models a folder or file looks like, told from its configuration or names, without its weights."""

import json
from pathlib import Path
from typing import Any

from iseg.backbones.table import BackboneRow
from iseg.errors import InputError
from iseg.texts import exists

# family: (what people call it, the row of the table that fits)
FAMILIES = {
    "sd1": ("Stable Diffusion 1.x", "sd15"),
    "sd2": ("Stable Diffusion 2.x", "sd21-base"),
    "sdxl": ("Stable Diffusion XL", "sdxl"),
    "tiny": ("the embedded model of iseg", "tiny"),
}
DEFAULT_ROW = "sd21-base"
WIDTHS = {768: "sd1", 1024: "sd2", 2048: "sdxl"}  # of the text that the cross-attention reads
HEADS = {(8,): "sd1", (5, 10, 20, 20): "sd2"}  # per block, where the width is an unusual one
# how the names of a file in the original layout begin; SDXL's first encoder has a name of SD 1.x's kind
TEXT_PREFIXES = {
    "sdxl": {
        "text_encoder": "conditioner.embedders.0.transformer.",
        "text_encoder_2": "conditioner.embedders.1.model.",
    },
    "sd2": {"text_encoder": "cond_stage_model.model."},
    "sd1": {"text_encoder": "cond_stage_model.transformer."},
}


def detect_family(path: Path) -> str | None:
    """The key of `FAMILIES` that a diffusers folder or a `.safetensors` file looks like; None if like none."""
    if path.is_dir():
        if _config(path / "vae").get("_class_name") == "PatchAutoencoder":
            return "tiny"
        return _of_unet(_config(path / "unet"))
    names = _names(path)
    for family, prefixes in TEXT_PREFIXES.items():
        if all(any(name.startswith(prefix) for name in names) for prefix in prefixes.values()):
            return family
    return None


def check_family(path: Path, row: BackboneRow) -> str | None:
    """What `detect_family` finds. Raises InputError if it is another family than the row's, naming the right row."""
    found = detect_family(path)
    if found is None or row.family is None or found == row.family:
        return found
    looks, fitting = FAMILIES[found]
    raise InputError(
        f"{path} looks like {looks}: the backbone {row.name} is for {FAMILIES[row.family][0]}; use --backbone {fitting}"
    )


def row_for(name: str | Path) -> str:
    """The row of the table for a folder, file or hub id whose row was not named: by its family, else sd21-base.

    Of a hub id only what an earlier download left on this machine is looked at.
    """
    path = Path(name)
    if not exists(path) and str(name).count("/") == 1:
        from huggingface_hub import try_to_load_from_cache
        from huggingface_hub.errors import HFValidationError

        try:
            kept = try_to_load_from_cache(str(name), "unet/config.json")
        except HFValidationError:
            return DEFAULT_ROW
        path = Path(kept).parent.parent if isinstance(kept, str) else path
    family = detect_family(path)
    return DEFAULT_ROW if family is None else FAMILIES[family][1]


def _config(folder: Path) -> dict[str, Any]:
    """A part's configuration, {} where it cannot be read: what is wrong with it is said when it is loaded."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return config if isinstance(config, dict) else {}


def _of_unet(config: dict[str, Any]) -> str | None:
    if config.get("addition_embed_type") == "text_time":
        return "sdxl"
    width, heads = config.get("cross_attention_dim"), config.get("attention_head_dim")
    if isinstance(width, int) and width in WIDTHS:
        return WIDTHS[width]
    per_block = tuple(map(str, heads)) if isinstance(heads, list) else (str(heads),)
    if len(set(per_block)) == 1:
        per_block = per_block[:1]
    return next((family for known, family in HEADS.items() if tuple(map(str, known)) == per_block), None)


def _names(file: Path) -> list[str]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "np") as opened:
            return list(opened.keys())
    except (SafetensorError, OSError):
        return []
