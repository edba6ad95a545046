"""Loading a backbone: device, precision, memory; everything that can be wrong with it is one clear line."""

import json
from pathlib import Path
from typing import Any

import torch

from iseg.backbones.build import build, fill
from iseg.backbones.family import check_family
from iseg.backbones.find import locate, locate_tokenizer
from iseg.backbones.low_memory import hold_weights_in_half, reuse_freed_memory
from iseg.backbones.quiet import quiet
from iseg.backbones.read import read_tensors, weight_files
from iseg.backbones.single_file import load_file
from iseg.backbones.strips import use_strips
from iseg.backbones.table import BackboneRow
from iseg.backbones.text import SecondEncoder, load_tokenizer, second_pad, text_encoder
from iseg.backbones.unet import UNetBackbone, check_layers
from iseg.backbones.vae import load_tiny_vae, load_vae
from iseg.errors import InputError, echo
from iseg.settings import configs_folder

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16, "mixed": torch.float32}


def pick_device(device: str | torch.device = "auto") -> torch.device:
    """Where to compute; "auto" takes cuda, then mps, then cpu. Raises InputError for a device that is not there."""
    if device == "auto":
        return torch.device(
            "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        )
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
        if chosen.type == "meta":  # a device of torch that computes nothing
            raise RuntimeError
    except (RuntimeError, AssertionError):
        raise InputError(f"device {echo(str(device))} cannot be used here: expected auto, cpu, cuda or mps") from None
    return chosen


def computes_in_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 itself: others emulate it, slower than float32."""
    known: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()  # torch >= 2.11
    return any(known.get(name) for name in ("avx512_bf16", "amx_bf16"))


def pick_dtype(dtype: str | torch.dtype, device: torch.device, on_cpu: str = "auto") -> str:
    """Name of the precision, a key of `DTYPES`; "mixed" holds weights in float16 and computes in float32.

    "auto" is float16 on cuda and float32 on mps; on the CPU it is `on_cpu`, whose "auto" is bfloat16 on processors
    that compute in it and mixed on others. Raises InputError if unknown.
    """
    name = str(dtype).removeprefix("torch.")
    if name == "auto" and device.type == "cpu":
        name = on_cpu if on_cpu != "auto" else "bfloat16" if computes_in_bfloat16() else "mixed"
    elif name == "auto":
        name = "float16" if device.type == "cuda" else "float32"
    if name not in DTYPES:
        raise InputError(f"dtype {echo(str(dtype))} is not known: expected auto, {', '.join(DTYPES)}")
    return name


def holds_half(name: str) -> bool:
    """Whether weights are held in float16 at a precision, a key of `DTYPES`."""
    return name in ("float16", "mixed")


@quiet("diffusers", "transformers")
def load(
    row: BackboneRow,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
    vae: str | Path | None = None,
) -> UNetBackbone:
    """Load the weights of a backbone (safetensors only; the VAE's decoder never) and check its layers.

    vae: "taesd" or a folder with an AutoencoderTiny, to be used in place of the model's own VAE.

    Raises InputError for weights that cannot be had or read, lack a tensor or are of another family than the row, for
    another model's tokenizer, and for layers or head counts that differ from the table.
    """
    chosen_device = pick_device(device)
    name = pick_dtype(dtype, chosen_device, row.cpu_dtype)
    mixed = name == "mixed"
    held = torch.float16 if mixed else DTYPES[name]
    place = locate(row, half=holds_half(name))
    sdxl = check_family(place, row) == "sdxl"
    vae_held = torch.float32 if name == "float16" and sdxl and _overflows(place / "vae") else held
    parts = (_from_file if place.is_file() else _from_folder)(place, row, held, vae_held)
    if vae is not None:
        vae_held = held
        parts["vae"] = load_tiny_vae(vae, held, parts["unet"].config.in_channels, row.family)
    second = parts["second"].model if parts["second"] else None
    for part in filter(None, (parts["text_encoder"], second, parts["vae"], parts["unet"])):
        part.to(chosen_device).eval().requires_grad_(False)
        if mixed:
            hold_weights_in_half(part)
    if chosen_device.type == "cuda":  # on the CPU this layout is no faster, and its group norm costs four digits
        for name_of_part in ("vae", "unet"):
            parts[name_of_part].to(memory_format=torch.channels_last)
    check_layers(parts["unet"], row)
    if chosen_device.type == "cpu":
        use_strips(parts["vae"])
        reuse_freed_memory()  # from here on: what loading leaves behind goes back to the system
    computing = torch.float32 if mixed else vae_held
    return UNetBackbone(
        row=row, source=str(place), device=chosen_device, dtype=DTYPES[name], vae_dtype=computing, **parts
    )


def _overflows(vae: Path) -> bool:
    """Whether SDXL's VAE needs float32: all but copies that were trained to do without, which say so."""
    config = vae / "config.json"
    return not config.is_file() or json.loads(config.read_text(encoding="utf-8")).get("force_upcast", True)


def _from_folder(folder: Path, row: BackboneRow, dtype: torch.dtype, vae_dtype: torch.dtype) -> dict[str, Any]:
    from diffusers import DDIMScheduler, UNet2DConditionModel

    tokenizer = load_tokenizer(folder / "tokenizer", row.tokens, row.pad_token)
    half = dtype == torch.float16
    try:
        # read tensor by tensor: a file may be twice as large as what is kept of it
        unet: Any = build(UNet2DConditionModel, UNet2DConditionModel.load_config(folder / "unet"))
        fill(unet, read_tensors(weight_files(folder / "unet", half), dtype), f"unet of {folder}")
        parts: dict[str, Any] = {
            "tokenizer": tokenizer,
            "text_encoder": _text_encoder(folder, "text_encoder", dtype),
            "second": None,
            "unet": unet,
            "vae": load_vae(folder / "vae", vae_dtype),
            "scheduler": DDIMScheduler.from_pretrained(folder / "scheduler"),
        }
        if unet.config["addition_embed_type"] == "text_time":
            further = load_tokenizer(folder / "tokenizer_2", row.tokens, row.pad_token_2)
            encoder = _text_encoder(folder, "text_encoder_2", dtype)
            parts["second"] = SecondEncoder(encoder, second_pad(tokenizer, further))
        return parts
    except InputError:
        raise
    except Exception as error:  # loaders raise many types; each means that this folder cannot be used
        raise InputError(f"{folder} cannot be loaded: {' '.join(str(error).split())[:300]}") from error


def _text_encoder(folder: Path, part: str, dtype: torch.dtype) -> Any:
    files = weight_files(folder / part, dtype == torch.float16)
    if not files:
        raise InputError(f"{folder / part} has no .safetensors file: expected a text encoder there")
    config = json.loads((folder / part / "config.json").read_text(encoding="utf-8"))
    return text_encoder(config, read_tensors(files, dtype), f"{part} of {folder}", part == "text_encoder_2")


def _from_file(path: Path, row: BackboneRow, dtype: torch.dtype, vae_dtype: torch.dtype) -> dict[str, Any]:
    configs = configs_folder() / "backbones"
    architecture = [configs / name for name in row.architecture or [row.name]]
    if not architecture[0].is_dir():
        raise InputError(f"{path}: {row.name} needs a folder, there is no configuration for a single file of it")
    parts = load_file(path, architecture, dtype, vae_dtype)
    parts["tokenizer"] = load_tokenizer(locate_tokenizer(path, row), row.tokens, row.pad_token)
    encoder = parts.pop("text_encoder_2", None)
    # SDXL's two tokenizers differ in the padding alone
    pad = parts["tokenizer"].convert_tokens_to_ids(row.pad_token_2) if encoder is not None else 0
    return {**parts, "second": None if encoder is None else SecondEncoder(encoder, pad)}
