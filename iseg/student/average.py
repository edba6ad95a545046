"""A moving average of a network's weights."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

YOUNG = 10  # updates: a young average forgets faster, so that it does not remember the start


class Average:
    """Exponential moving average of the parameters; buffers (the statistics of batch norms) are averaged alike.

    Args:
        network: whose weights are averaged.
        decay: in [0, 1); 0 follows the weights at once.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay, self.updates = decay, 0
        self.weights = {name: value.detach().clone() for name, value in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Take in the weights of one more update."""
        self.updates += 1
        decay = min(self.decay, self.updates / (self.updates + YOUNG)) if self.decay else 0.0
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                self.weights[name].lerp_(value.to(self.weights[name].dtype), 1 - decay)
            else:
                self.weights[name].copy_(value)

    @contextmanager
    def used_by(self, network: nn.Module) -> Iterator[None]:
        """Inside the block the network has the averaged weights; after it its own again."""
        own = {name: value.detach().clone() for name, value in network.state_dict().items()}
        network.load_state_dict(self.weights)
        try:
            yield
        finally:
            network.load_state_dict(own)

    def state_dict(self) -> dict[str, Tensor]:
        """Everything by name, for safetensors."""
        return {**self.weights, "updates": torch.tensor(self.updates)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take up a saved average."""
        state = dict(state)
        self.updates = int(state.pop("updates"))
        for name, value in state.items():
            self.weights[name].copy_(value)
