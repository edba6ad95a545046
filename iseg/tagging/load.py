"""Find and load CLIP; everything that can be wrong with it is one clear line."""

from pathlib import Path

import torch
from transformers import CLIPModel, CLIPTokenizer, PreTrainedTokenizerBase

from iseg.backbones.load import pick_device
from iseg.backbones.quiet import quiet
from iseg.errors import InputError
from iseg.settings import read_yaml

PACKAGE = "package:"


def locate_clip(model: str) -> str:
    """A local folder, the folder of `package:PATH`, or the hub id unchanged.

    Raises InputError for a folder that does not hold a CLIP model in safetensors, and for a path that is not there.
    """
    inside = model.startswith(PACKAGE)
    folder = Path(__file__).parent.parent / model.removeprefix(PACKAGE) if inside else Path(model)
    if not folder.is_dir():
        if inside:
            raise InputError(f"CLIP model {model!r}: not in this installation; give another with tagging.clip.model")
        if folder.exists() or model.count("/") != 1 or model.startswith((".", "/", "~")):
            raise InputError(f"CLIP model {model!r}: no such folder; expected a folder or a hub id owner/name")
        return model
    if not (folder / "config.json").is_file():
        raise InputError(f"{folder} is not a CLIP model: it has no config.json")
    kind = read_yaml(folder / "config.json").get("model_type")  # JSON is YAML
    if kind != "clip":
        raise InputError(f"{folder} is not a CLIP model: its config.json says model_type {kind!r}, expected 'clip'")
    if not list(folder.glob("*.safetensors")):
        raise InputError(f"{folder} has no .safetensors file: other weight formats are not read")
    if not any((folder / name).is_file() for name in ("tokenizer.json", "vocab.json")):
        raise InputError(f"{folder} has no tokenizer: expected tokenizer.json or vocab.json beside the weights")
    return str(folder)


def load_clip(
    model: str, device: str | torch.device = "auto", dtype: torch.dtype = torch.float32
) -> tuple[CLIPModel, PreTrainedTokenizerBase]:
    """CLIP and its tokenizer, ready for inference. Raises InputError with the reason when either cannot be had."""
    place = locate_clip(model)
    chosen = pick_device(device)
    try:
        with quiet("transformers"):
            clip = CLIPModel.from_pretrained(place, dtype=dtype, use_safetensors=True)
            tokenizer = CLIPTokenizer.from_pretrained(place)
    except Exception as error:  # loaders raise many types; each means that this model cannot be used
        reason = " ".join(str(error).split())[:240]
        raise InputError(
            f"CLIP model {model!r} cannot be had: {reason}. Give a local folder with tagging.clip.model, or set "
            "HF_ENDPOINT to a mirror or HF_HOME to a filled cache"
        ) from None
    clip = clip.to(chosen)  # type: ignore[arg-type]  # the decorator hides the method
    return clip.eval().requires_grad_(False), tokenizer
