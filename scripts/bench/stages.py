"""Seconds of every stage of a real call: the functions that `iseg` calls are timed where they stand."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any
from unittest.mock import patch

import torch

from iseg import cross, refine, solve
from iseg.backbones.unet import UNetBackbone
from scripts.bench.peaks import synchronize

# stage -> where its function is looked up
STAGES: dict[str, tuple[Any, str]] = {
    "text": (UNetBackbone, "encode_text"),
    "encode": (UNetBackbone, "encode"),
    "unet": (UNetBackbone, "record"),
    "fuse": (cross, "fuse"),
    "cluster": (cross, "class_maps"),
    "entropy": (refine, "reduce_entropy"),
    "refine": (refine, "refine"),
    "decide": (solve, "conclude"),
}


@contextmanager
def stopwatch(device: torch.device) -> Iterator[dict[str, float]]:
    """Within the block, every call of a stage adds its seconds to the yielded {stage: seconds}."""
    spent: dict[str, float] = defaultdict(float)

    def timed(stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def call(*arguments: Any, **options: Any) -> Any:
            synchronize(device)
            start = time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                synchronize(device)
                spent[stage] += time.perf_counter() - start

        return call

    with ExitStack() as stack:
        for stage, (owner, name) in STAGES.items():
            stack.enter_context(patch.object(owner, name, timed(stage, getattr(owner, name))))
        yield spent
