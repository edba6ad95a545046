"""The optimiser of the tiny model: Muon for weight matrices, AdamW for all else."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

MOMENTUM, DECAY, ROUNDS = 0.95, 0.05, 5
QUINTIC = (3.4445, -4.775, 2.0315)  # Muon's polynomial (Jordan et al. 2024): fast, singular values end in 0.7..1.2


def as_matrix(weight: Tensor) -> Tensor:
    """A view (outputs, inputs) of a linear layer's or a channels_last convolution's weight."""
    return weight if weight.ndim == 2 else weight.permute(0, 2, 3, 1).flatten(1)


def is_hidden_matrix(name: str, weight: Tensor) -> bool:
    """Whether Muon trains it: the first and last layers, embeddings, norms and biases are AdamW's."""
    return weight.ndim in (2, 4) and not any(part in name for part in ("conv_in", "conv_out", "embedding."))


def orthogonal(matrix: Tensor) -> Tensor:
    """The nearest matrix with orthonormal rows or columns, roughly, by a Newton-Schulz iteration."""
    x = matrix / matrix.norm().clamp_min(1e-7)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    a, b, c = QUINTIC
    for _ in range(ROUNDS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x


class MatrixOptimizer:
    """Muon (momentum made orthogonal, scaled to AdamW's size) on hidden matrices and AdamW on the rest.

    torch.optim.Muon does the same in bfloat16, which CPUs are slow at (a third of a step went there), and on every
    process; here process `rank` of `world` does its share of the matrices, in float32.
    """

    def __init__(self, modules: list[nn.Module], rate: float, matrix_rate: float, rank: int, world: int) -> None:
        named = [pair for module in modules for pair in module.named_parameters() if pair[1].requires_grad]
        self.hidden = [weight for name, weight in named if is_hidden_matrix(name, weight)]
        self.momenta = [torch.zeros_like(as_matrix(weight.detach())) for weight in self.hidden]
        rest = [weight for name, weight in named if not is_hidden_matrix(name, weight)]
        self.adam = torch.optim.AdamW(rest, lr=rate, betas=(0.9, 0.98), weight_decay=0.01)
        self.rate, self.matrix_rate, self.rank, self.world = rate, matrix_rate, rank, world

    @torch.no_grad()
    def step(self, share: float) -> None:
        """One update at `share` of the learning rates."""
        self.adam.param_groups[0]["lr"] = self.rate * share
        self.adam.step()
        rate = self.matrix_rate * share
        for weight, update in zip(self.hidden, self.updates(), strict=True):
            as_matrix(weight).mul_(1 - rate * DECAY).add_(update, alpha=-rate)

    def updates(self) -> list[Tensor]:
        """The direction of every hidden matrix; each process works out its share."""
        flat = torch.zeros(sum(weight.numel() for weight in self.hidden))
        parts = flat.split([weight.numel() for weight in self.hidden])
        updates = [part.view_as(momentum) for part, momentum in zip(parts, self.momenta, strict=True)]
        by_size = sorted(range(len(self.hidden)), key=lambda i: -self.hidden[i].numel())
        mine = set(by_size[self.rank :: self.world])
        for i, (weight, momentum) in enumerate(zip(self.hidden, self.momenta, strict=True)):
            assert weight.grad is not None
            gradient = as_matrix(weight.grad)
            momentum.lerp_(gradient, 1 - MOMENTUM)
            if i in mine:
                size = 0.2 * max(momentum.shape) ** 0.5
                updates[i].copy_(size * orthogonal(gradient.lerp(momentum, MOMENTUM)))
        if self.world > 1:
            dist.all_reduce(flat)
        return updates

    def zero_grad(self) -> None:
        """Forget the gradients."""
        self.adam.zero_grad(set_to_none=True)
        for weight in self.hidden:
            weight.grad = None

    def state_dict(self) -> dict[str, Any]:
        """State of both parts."""
        return {"momenta": self.momenta, "adam": self.adam.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Undo `state_dict`."""
        self.momenta = state["momenta"]
        self.adam.load_state_dict(state["adam"])
