"""Reading `.safetensors` tensor by tensor, so that a model in half precision never needs the room of its file."""

from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor


def weight_files(folder: Path) -> list[Path]:
    """The files of one component: the plain one, all of its shards, or the only variant there is."""
    files = sorted(folder.glob("*.safetensors"))
    shards = [file for file in files if "-of-" in file.name]
    plain = [file for file in files if file not in shards and file.name.count(".") == 1]
    return plain[:1] or shards or files[:1]


def read_tensors(files: list[Path], dtype: torch.dtype, prefixes: tuple[str, ...] = ("",)) -> dict[str, Tensor]:
    """Tensors whose names start with one of `prefixes`, converted to `dtype`.

    A file is opened anew for each tensor: an open file's pages stay in memory as long as it is.
    """
    state = {}
    for file in files:
        with safe_open(file, "pt") as opened:
            names = [name for name in opened.keys() if name.startswith(prefixes)]
        for name in names:
            with safe_open(file, "pt") as opened:
                state[name] = opened.get_tensor(name).to(dtype, copy=True)
    return state
