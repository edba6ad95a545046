"""A loaded backbone: image -> latents, prompt -> embeddings, one noised UNet pass's inputs (method step 1)."""

from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from iseg.attention import attention_module
from iseg.backbones import Backbone
from iseg.config import configs_folder
from iseg.errors import InputError
from iseg.memory import hold_weights_in_half, reuse_freed_memory
from iseg.single_file import load_file
from iseg.strips import use_strips
from iseg.vae import latents_of, load_tiny_vae, load_vae
from iseg.weight_files import read_tensors, weight_files
from iseg.weights import check_folder, locate, locate_tokenizer

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16, "mixed": torch.float32}
KEPT_PROMPTS = 64  # encoded prompts kept: a data set asks for the same classes again and again


@dataclass
class Components:
    """The parts of a diffusion model that iseg uses, on one device; `dtype` is what they compute in."""

    backbone: Backbone
    source: str  # where the weights came from
    tokenizer: Any
    text_encoder: nn.Module
    vae: Any  # encoder only
    unet: nn.Module
    scheduler: Any
    device: torch.device
    dtype: torch.dtype
    _embedded: OrderedDict[tuple[int, ...], Tensor] = field(default_factory=OrderedDict, repr=False)

    def encode(self, images: Tensor) -> Tensor:
        """Images (B, 3, S, S) float32 in [0, 1] -> latents (B, C, h, w): posterior mean times the scaling factor."""
        scaled = 2 * images.to(self.device) - 1
        return latents_of(self.vae, scaled.to(self.dtype))

    def add_noise(self, latents: Tensor) -> Tensor:
        """Latents (B, C, h, w) with the backbone's fixed noise at its timestep.

        The noise is drawn on the CPU so that every device sees the same; it is the same for every image.
        """
        generator = torch.Generator("cpu").manual_seed(self.backbone.noise_seed)
        noise = torch.randn((1, *latents.shape[1:]), generator=generator).to(latents)
        timestep = torch.tensor([self.backbone.timestep], device=latents.device)
        return self.scheduler.add_noise(latents, noise, timestep)

    def embed(self, ids: list[int]) -> Tensor:
        """Token ids (L) -> last hidden states of the text encoder (L, D); those of the last prompts are kept."""
        key = tuple(ids)
        if key not in self._embedded:
            states = self.text_encoder(torch.tensor([ids], device=self.device)).last_hidden_state[0]
            self._embedded[key] = states
            if len(self._embedded) > KEPT_PROMPTS:
                self._embedded.popitem(last=False)
        self._embedded.move_to_end(key)
        return self._embedded[key]

    def forget_prompts(self) -> None:
        """Drop the kept prompts."""
        self._embedded.clear()

    def compile(self) -> None:
        """Let torch.compile work on the UNet's residual and feed-forward blocks and, off the CPU, the VAE's encoder.

        On the CPU the encoder stays in strips, which take less time and memory. The first image of each batch size then
        takes minutes. Raises InputError for mixed precision, whose weights are widened anew in every pass.
        """
        from diffusers.models.attention import FeedForward
        from diffusers.models.resnet import ResnetBlock2D

        if any(weight.dtype != self.dtype for weight in self.unet.parameters()):
            raise InputError("compile needs weights of one precision: expected dtype float32, float16 or bfloat16")
        if self.device.type != "cpu":
            self.vae.encoder.compile(dynamic=False)
        for module in self.unet.modules():
            if isinstance(module, (ResnetBlock2D, FeedForward)):
                module.compile(dynamic=False)


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


def load(
    backbone: Backbone,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
    vae: str | Path | None = None,
) -> Components:
    """Load the weights of a backbone (safetensors only; the VAE's decoder never) and check its layers.

    vae: "taesd" or a folder with an AutoencoderTiny, to be used in place of the model's own VAE.

    Raises InputError for weights that cannot be had or read, and for layers or head counts that differ from the table.
    """
    chosen_device = pick_device(device)
    name = pick_dtype(dtype, chosen_device, backbone.cpu_dtype)
    mixed = name == "mixed"
    place = locate(backbone)
    held = torch.float16 if mixed else DTYPES[name]
    parts = _from_file(place, backbone, held) if place.is_file() else _from_folder(place, held)
    if vae is not None:
        parts["vae"] = load_tiny_vae(vae, held, parts["unet"].config.in_channels)
    for part in ("text_encoder", "vae", "unet"):
        parts[part].to(chosen_device).eval().requires_grad_(False)
        if mixed:
            hold_weights_in_half(parts[part])
    if chosen_device.type == "cuda":  # on the CPU this layout is no faster, and its group norm costs four digits
        for part in ("vae", "unet"):
            parts[part].to(memory_format=torch.channels_last)
    check_layers(parts["unet"], backbone)
    if chosen_device.type == "cpu":
        use_strips(parts["vae"])
        reuse_freed_memory()  # from here on: what loading leaves behind goes back to the system
    return Components(backbone=backbone, source=str(place), device=chosen_device, dtype=DTYPES[name], **parts)


def _from_folder(folder: Path, dtype: torch.dtype) -> dict[str, Any]:
    from diffusers import DDIMScheduler
    from transformers import CLIPTextModel, CLIPTokenizer

    check_folder(folder)
    try:
        return {
            "tokenizer": CLIPTokenizer.from_pretrained(folder / "tokenizer"),
            "text_encoder": CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=dtype, use_safetensors=True),
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
    unet.load_state_dict(read_tensors(weight_files(folder), dtype), assign=True)
    return unet


def _from_file(path: Path, backbone: Backbone, dtype: torch.dtype) -> dict[str, Any]:
    from transformers import CLIPTokenizer

    architecture = configs_folder() / "backbones" / backbone.name
    if not architecture.is_dir():
        raise InputError(f"{path}: a single file can be read for sd21-base only, {backbone.name} needs a folder")
    parts = load_file(path, architecture, dtype)
    return {**parts, "tokenizer": CLIPTokenizer.from_pretrained(locate_tokenizer(path, backbone))}


def check_layers(unet: nn.Module, backbone: Backbone) -> None:
    """Raises InputError naming the first layer of the table that the UNet lacks or that has another head count."""
    kinds = [("attn2", layers) for layers in backbone.cross_layers.values()] + [("attn1", backbone.self_layers)]
    for kind, layers in kinds:
        for layer, heads in layers.items():
            found = attention_module(unet, layer, kind).heads
            if found != heads:
                raise InputError(f"layer {layer} has {found} heads, the table of {backbone.name} says {heads}")
