"""float32 means float32: no TF32 inside a pass, whatever the process has chosen for itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def without_tf32() -> Iterator[None]:
    """A block (or function) in which cuBLAS and cuDNN multiply float32 as float32; afterwards as before.

    TF32 keeps 10 bits of a factor's mantissa; torch's default is to use it in convolutions.
    """
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    switches: list[tuple[Any, str, object]] = [(matmul, "allow_tf32", False), (cudnn, "allow_tf32", False)]
    try:
        before = [getattr(home, name) for home, name, _ in switches]
    except RuntimeError:  # torch >= 2.9, where the process uses the newer switches: they cannot be mixed
        conv: Any = getattr(cudnn, "conv")  # noqa: B009 not in older versions
        switches = [(matmul, "fp32_precision", "ieee"), (conv, "fp32_precision", "ieee")]
        before = [getattr(home, name) for home, name, _ in switches]
    changed = [(*switch[:2], old, switch[2]) for switch, old in zip(switches, before, strict=True) if old != switch[2]]
    try:
        for home, name, _, off in changed:
            setattr(home, name, off)
        yield
    finally:
        for home, name, old, _ in changed:
            setattr(home, name, old)
