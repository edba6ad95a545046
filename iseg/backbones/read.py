"""Which files hold a model's weights, and reading `.safetensors` tensor by tensor.

So a model in half precision never needs the room of its file.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open

from iseg.errors import InputError

if TYPE_CHECKING:  # a look at what is at hand need not wait for torch
    import torch
    from torch import Tensor

PARTS = ("unet", "vae", "text_encoder", "text_encoder_2")  # folders with weights; the last one only in SDXL
REOPENED = 1 << 26  # bytes
HALF = "fp16"  # the variant of files whose tensors are float16
SHARD = r"(?:-\d+-of-(\d+))?"
# stem, number of shards, variant, number of shards: both orders are found on the hub
WEIGHTS = re.compile(rf"([^.]+?){SHARD}(?:\.([^.]+?))?{SHARD}\.safetensors")


def choose_weights(names: Iterable[str], half: bool = False) -> list[str]:
    """The files of one part among its names: one file, or all of its shards.

    Args:
        names: without folders.
        half: the weights will be held in float16: the fp16 variant, half the size, is preferred to the plain file.

    Any other variant is taken only where nothing else is; a set of shards that lacks some is not taken. [] if none.
    """
    groups: dict[tuple[str, str, int], list[str]] = {}  # (variant, stem, shards): its files
    for name in sorted(names):
        if match := WEIGHTS.fullmatch(name):
            stem, early, variant, late = match.groups()
            groups.setdefault((variant or "", stem, int(early or late or 1)), []).append(name)
    first = [HALF, ""] if half else ["", HALF]
    whole = [group for group, files in groups.items() if len(files) == group[2]]
    whole.sort(key=lambda group: (first.index(group[0]) if group[0] in first else len(first), group[2] > 1))
    return groups[whole[0]] if whole else []


def weight_files(folder: Path, half: bool = False) -> list[Path]:
    """The files of one part in its folder; see `choose_weights`."""
    return [folder / name for name in choose_weights((path.name for path in folder.glob("*.safetensors")), half)]


def variant_of(files: list[Path]) -> str | None:
    """The variant ("fp16") in the names of a part's files, as the libraries' loaders want it; None for plain files."""
    match = WEIGHTS.fullmatch(files[0].name) if files else None
    return match[3] if match else None


def check_whole(file: Path) -> None:
    """Raises InputError unless a `.safetensors` file is whole and holds a tensor. Reads its header alone."""
    try:
        with safe_open(file, "np") as opened:
            if not list(opened.keys()):
                raise InputError(f"{file}: holds no tensor")
    except (SafetensorError, OSError) as error:
        raise InputError(f"{file}: truncated or damaged ({' '.join(str(error).split())[:120]})") from None


def read_tensors(files: list[Path], dtype: "torch.dtype", prefixes: tuple[str, ...] = ("",)) -> "dict[str, Tensor]":
    """Tensors whose names start with one of `prefixes`, converted to `dtype`.

    A file is opened anew after every `REOPENED` bytes: an open file's pages stay in memory as long as it is.
    """
    state = {}
    for file in files:
        with safe_open(file, "pt") as opened:
            names = [name for name in opened.keys() if name.startswith(prefixes)]
        while names:
            read = 0
            with safe_open(file, "pt") as opened:
                while names and read < REOPENED:
                    tensor = opened.get_tensor(name := names.pop(0))
                    state[name] = tensor.to(dtype, copy=True)
                    read += tensor.nbytes
    return state
