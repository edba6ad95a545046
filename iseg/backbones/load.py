"""Loading a backbone: device, precision, memory; everything that can be wrong with it is one clear line."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from iseg.backbones.find import locate, locate_tokenizer
from iseg.backbones.low_memory import hold_weights_in_half, reuse_freed_memory
from iseg.backbones.quiet import quiet
from iseg.backbones.read import read_tensors, variant_of, weight_files
from iseg.backbones.single_file import load_file
from iseg.backbones.strips import use_strips
from iseg.backbones.table import BackboneRow
from iseg.backbones.unet import UNetBackbone, check_layers
from iseg.backbones.vae import load_tiny_vae, load_vae
from iseg.errors import InputError
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
    except (RuntimeError, AssertionError):
        raise InputError(f"device {str(device)!r} cannot be used here: expected auto, cpu, cuda or mps") from None
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
        raise InputError(f"dtype {str(dtype)!r} is not known: expected auto, {', '.join(DTYPES)}")
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

    Raises InputError for weights that cannot be had or read, and for layers or head counts that differ from the table.
    """
    chosen_device = pick_device(device)
    name = pick_dtype(dtype, chosen_device, row.cpu_dtype)
    mixed = name == "mixed"
    held = torch.float16 if mixed else DTYPES[name]
    place = locate(row, half=holds_half(name))
    parts = _from_file(place, row, held) if place.is_file() else _from_folder(place, held)
    if vae is not None:
        parts["vae"] = load_tiny_vae(vae, held, parts["unet"].config.in_channels)
    for part in ("text_encoder", "vae", "unet"):
        parts[part].to(chosen_device).eval().requires_grad_(False)
        if mixed:
            hold_weights_in_half(parts[part])
    if chosen_device.type == "cuda":  # on the CPU this layout is no faster, and its group norm costs four digits
        for part in ("vae", "unet"):
            parts[part].to(memory_format=torch.channels_last)
    check_layers(parts["unet"], row)
    if chosen_device.type == "cpu":
        use_strips(parts["vae"])
        reuse_freed_memory()  # from here on: what loading leaves behind goes back to the system
    return UNetBackbone(row=row, source=str(place), device=chosen_device, dtype=DTYPES[name], **parts)


def _from_folder(folder: Path, dtype: torch.dtype) -> dict[str, Any]:
    from diffusers import DDIMScheduler
    from transformers import CLIPTextModel, CLIPTokenizer

    text_encoder = folder / "text_encoder"
    variant = variant_of(weight_files(text_encoder, dtype == torch.float16))
    try:
        return {
            "tokenizer": CLIPTokenizer.from_pretrained(folder / "tokenizer"),
            "text_encoder": CLIPTextModel.from_pretrained(
                text_encoder, dtype=dtype, variant=variant, use_safetensors=True
            ),
            "unet": _unet(folder / "unet", dtype),
            "vae": load_vae(folder / "vae", dtype),
            "scheduler": DDIMScheduler.from_pretrained(folder / "scheduler"),
        }
    except InputError:
        raise
    except Exception as error:  # loaders raise many types; each means that this folder cannot be used
        raise InputError(f"{folder} cannot be loaded: {' '.join(str(error).split())[:300]}") from error


def _unet(folder: Path, dtype: torch.dtype) -> nn.Module:
    """The UNet of a folder, read tensor by tensor: its file may be twice as large as what is kept of it."""
    from diffusers import UNet2DConditionModel

    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(folder))
    unet.load_state_dict(read_tensors(weight_files(folder, dtype == torch.float16), dtype), assign=True)
    return unet


def _from_file(path: Path, row: BackboneRow, dtype: torch.dtype) -> dict[str, Any]:
    from transformers import CLIPTokenizer

    architecture = configs_folder() / "backbones" / row.name
    if not architecture.is_dir():
        raise InputError(f"{path}: a single file can be read for sd21-base only, {row.name} needs a folder")
    parts = load_file(path, architecture, dtype)
    return {**parts, "tokenizer": CLIPTokenizer.from_pretrained(locate_tokenizer(path, row))}
