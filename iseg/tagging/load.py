"""Find and load CLIP; everything that can be wrong with it is one clear line."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from iseg.backbones.fetch import Wanted, at_hand, fetch
from iseg.backbones.find import first_of, none_found
from iseg.backbones.load import pick_device
from iseg.backbones.quiet import quiet
from iseg.backbones.read import check_whole, choose_weights, read_tensors, weight_files
from iseg.backbones.sources import Source
from iseg.errors import InputError, echo
from iseg.settings import read_yaml

if TYPE_CHECKING:
    from transformers import CLIPModel, PreTrainedTokenizerBase

CONFIG, PICKLE = "config.json", "pytorch_model.bin"
VOCABULARIES = ("tokenizer.json", "vocab.json")
TEXTS = (CONFIG, *VOCABULARIES, "merges.txt", "special_tokens_map.json", "tokenizer_config.json")
# the same weights elsewhere
MIRRORS = {"openai/clip-vit-base-patch16": ["modelscope:openai-mirror/clip-vit-base-patch16"]}
SAFE_PICKLES = (2, 6)  # torch whose weights_only cannot be got round (CVE-2025-32434)


def locate_clip(model: str) -> Path:
    """The folder with CLIP's weights and tokenizer.

    Args:
        model: a local folder, `package:PATH` inside the iseg package, a hub id, or `modelscope:ID`; a hub id that has
            mirrors is also looked for there.

    What is at hand is taken first, then what can be got. Raises InputError for a folder that does not hold a CLIP
    model, for a path that is not there, and listing every source with its reason.
    """
    source = Source(model)
    if source.kind == "package" and not (source.place or Path()).is_dir():
        raise InputError(f"CLIP model {echo(model)}: not in this installation; give another with tagging.clip.model")
    if source.kind == "hub" and (model.count("/") != 1 or model.startswith((".", "/", "~"))):
        raise InputError(f"CLIP model {echo(model)}: no such folder; expected a folder or a hub id owner/name")
    if source.kind == "local" and not Path(model).is_dir():
        raise InputError(f"CLIP model {echo(model)}: a file; expected a folder or a hub id owner/name")
    sources = [source, *map(Source, MIRRORS.get(model, []))]
    texts = list(TEXTS)
    wanted = Wanted(_choose, [[*texts, "model*.safetensors"], [*texts, PICKLE]], _check)
    for way in (at_hand, fetch):
        found, reasons = first_of(sources, wanted, way)
        if found is not None:
            return found[1]
    raise none_found(f"CLIP model {echo(model)}", sources, reasons, "tagging.clip.model")


def load_clip(
    model: str, device: str | torch.device = "auto", dtype: torch.dtype = torch.float32
) -> tuple["CLIPModel", "PreTrainedTokenizerBase"]:
    """CLIP and its tokenizer, ready for inference.

    Weights come from safetensors or, where there are none, from `pytorch_model.bin`, of which tensors alone are read.

    Raises InputError with the reason when it cannot be had, and for a file that lacks a tensor.
    """
    from transformers import CLIPConfig, CLIPTokenizer  # takes seconds

    place = locate_clip(model)
    chosen = pick_device(device)
    state = _read_weights(place, dtype)
    try:
        with quiet("transformers"):
            config = CLIPConfig.from_pretrained(place)
            tokenizer = CLIPTokenizer.from_pretrained(place)
            clip = _fill(config, state, dtype, place)
    except InputError:
        raise
    except Exception as error:  # loaders raise many types; each means that this model cannot be used
        reason = " ".join(str(error).split())[:240]
        raise InputError(f"{place}: CLIP cannot be loaded: {reason}") from None
    clip = clip.to(chosen)  # type: ignore[arg-type]  # the decorator hides the method
    return clip.eval().requires_grad_(False), tokenizer


def _choose(names: Sequence[str]) -> list[str]:
    weights = choose_weights(names) or [name for name in names if name == PICKLE]
    if not weights:
        raise InputError(f"no .safetensors file and no {PICKLE}: other weight formats are not read")
    return [*(name for name in TEXTS if name in names), *weights]


def _check(folder: Path) -> None:
    """Raises InputError unless the folder has CLIP's configuration, weights and tokenizer."""
    if not (folder / CONFIG).is_file():
        raise InputError(f"{folder} is not a CLIP model: it has no {CONFIG}")
    kind = read_yaml(folder / CONFIG).get("model_type")  # JSON is YAML
    if kind != "clip":
        raise InputError(f"{folder} is not a CLIP model: its {CONFIG} says model_type {echo(kind)}, expected 'clip'")
    files = weight_files(folder)
    if not files and not (folder / PICKLE).is_file():
        raise InputError(f"{folder} has no .safetensors file and no {PICKLE}: other weight formats are not read")
    for file in files:
        check_whole(file)
    if not any((folder / name).is_file() for name in VOCABULARIES):
        raise InputError(f"{folder} has no tokenizer: expected tokenizer.json or vocab.json beside the weights")


def _read_weights(folder: Path, dtype: torch.dtype) -> dict[str, Tensor]:
    files = weight_files(folder)
    if files:
        return read_tensors(files, dtype)
    return {name: tensor.to(dtype) for name, tensor in read_pickle(folder / PICKLE).items()}


def read_pickle(path: Path) -> dict[str, Tensor]:
    """The tensors of a PyTorch file, by torch's reader that knows tensors alone: nothing else in it is ever run.

    Raises InputError for a file that is damaged or holds anything else, and with a torch older than 2.6.
    """
    version = tuple(int(number) for number in re.findall(r"\d+", torch.__version__)[:2])
    if version < SAFE_PICKLES:
        raise InputError(f"{path}: torch {torch.__version__} does not read such files safely: expected 2.6 or later")
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch tells a damaged file and a forbidden object by many types
        detail = next((line.strip() for line in str(error).splitlines() if "GLOBAL" in line), type(error).__name__)
        raise InputError(f"{path}: refused: damaged, or it holds more than tensors ({detail[:160]})") from None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(f"{path}: refused: expected a mapping of names to tensors")
    return state


def _fill(config: Any, state: dict[str, Tensor], dtype: torch.dtype, place: Path) -> "CLIPModel":
    """CLIP of a configuration with exactly these weights. Raises InputError naming tensors that are missing."""
    from transformers import CLIPModel

    loaded: Any = CLIPModel.from_pretrained(
        None, config=config, state_dict=state, dtype=dtype, output_loading_info=True
    )
    clip, told = loaded
    missing = sorted(told["missing_keys"])
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise InputError(f"{place}: CLIP lacks the tensor {missing[0]}{more}")
    return clip
