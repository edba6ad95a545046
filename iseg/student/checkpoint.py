"""The state of a training between two updates, as safetensors and JSON."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from iseg.errors import InputError
from iseg.files.export import atomic_files

TENSORS, NUMBERS = "checkpoint.safetensors", "checkpoint.json"
GROUPS = ("weights", "average", "optimizer", "scaler")


@dataclass
class Progress:
    """How far a training is.

    Attributes:
        step: updates done.
        losses: of every update so far.
        validations: a summary each: step, miou, pixel_accuracy, mean_accuracy.
        best: mIoU of the best validation so far, or None.
    """

    step: int = 0
    losses: list[float] = field(default_factory=list)
    validations: list[dict[str, Any]] = field(default_factory=list)
    best: float | None = None


def write_checkpoint(folder: Path, progress: Progress, parts: Mapping[str, Mapping[str, Tensor]]) -> None:
    """Write both files; the JSON comes last, and says which tensors belong to it.

    parts: {one of GROUPS: {name: tensor}}.
    """
    tensors = {f"{part}/{name}": value.detach().cpu().contiguous().clone() for part, values in parts.items()
               for name, value in values.items()}  # fmt: skip
    with atomic_files(folder, last=NUMBERS) as hidden:
        save_file(tensors, hidden / TENSORS)
        (hidden / NUMBERS).write_text(json.dumps(vars(progress)))


def read_checkpoint(folder: Path) -> tuple[Progress, dict[str, dict[str, Tensor]]] | None:
    """What was written, or None where there is none. Raises InputError for files that cannot be read."""
    if not (folder / NUMBERS).is_file():
        return None
    try:
        progress = Progress(**json.loads((folder / NUMBERS).read_text()))
        tensors = load_file(folder / TENSORS)
    except (OSError, ValueError, TypeError, SafetensorError) as error:
        raise InputError(f"{folder}: its checkpoint cannot be read ({error}): remove the folder or give another --out"
                         ) from None  # fmt: skip
    parts: dict[str, dict[str, Tensor]] = {name: {} for name in GROUPS}
    for key, value in tensors.items():
        part, name = key.split("/", 1)
        parts[part][name] = value
    return progress, parts


def pack_optimizer(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The moments of every weight, by its number and name of moment."""
    state = optimizer.state_dict()["state"]
    return {f"{number}/{name}": torch.as_tensor(value) for number, values in state.items()
            for name, value in values.items()}  # fmt: skip


def unpack_optimizer(optimizer: torch.optim.Optimizer, packed: Mapping[str, Tensor]) -> None:
    """Give an optimiser the moments of `pack_optimizer`; its groups stay."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in packed.items():
        number, name = key.split("/")
        state.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
