"""The learning rate over the updates of a training."""

import math


def share(step: int, steps: int, schedule: str, power: float, warmup: int) -> float:
    """Share of the full learning rate at update `step` of `steps`, in [0, 1].

    "poly": (1 - step / steps)^power; "cosine": (1 + cos(pi step / steps)) / 2. The first `warmup` updates grow
    linearly to it.
    """
    done = step / steps
    falling = (1 - done) ** power if schedule == "poly" else 0.5 * (1 + math.cos(math.pi * done))
    return min(1.0, (step + 1) / (warmup + 1)) * falling
