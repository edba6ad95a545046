"""Networks that are built without weights and then filled: with all of their tensors, or one clear error."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from iseg.errors import InputError


def build(kind: Any, config: Mapping[str, Any]) -> nn.Module:
    """A diffusers model of a class and a configuration, on "meta": it has shapes and no values.

    Raises InputError for group norms of less than one group, which torch takes and fails with later.
    """
    with torch.device("meta"):
        model: nn.Module = kind.from_config(dict(config))
    for name, module in model.named_modules():
        if isinstance(module, nn.GroupNorm) and module.num_groups < 1:
            raise InputError(f"{name} has {module.num_groups} groups: expected norm_num_groups of at least 1")
    return model


def fill(module: nn.Module, state: Mapping[str, Tensor], what: str) -> None:
    """Give a module on "meta" its tensors; nothing is left without values, nothing is made up.

    Args:
        state: {name: tensor} of exactly the module's names and shapes.
        what: the part and where it comes from, for messages.

    Raises InputError naming the first tensor that is missing, too much or of another shape.
    """
    if not state:
        raise InputError(f"{what} holds no tensor")
    wanted = module.state_dict()
    for name, tensor in wanted.items():
        if name not in state:
            missing = sum(other not in state for other in wanted)
            raise InputError(f"{what} lacks {missing} of {len(wanted)} tensors, the first is {name}")
        if state[name].shape != tensor.shape:
            raise InputError(f"{what}: {name} has shape {_text(state[name])}, expected {_text(tensor)}")
    extra = next((name for name in state if name not in wanted), None)
    if extra is not None:
        raise InputError(f"{what} has the tensor {extra}, which its configuration has no place for")
    module.load_state_dict(dict(state), assign=True)


def replace_module(root: nn.Module, path: str, new: nn.Module) -> None:
    """Put `new` in the place of a submodule; `path` as in `named_modules`."""
    owner, _, name = path.rpartition(".")
    setattr(root.get_submodule(owner), name, new)


def _text(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "()"
