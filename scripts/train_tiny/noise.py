"""What a training pass is given beside the scene: noise, timesteps, enhanced words; mostly those of inference."""

import functools

import torch
from torch import Tensor

from scripts.train_tiny.model import LATENT_CHANNELS

TIMESTEP, NOISE_SEED = 100, 1101  # what inference uses
ENHANCEMENT = 1.6
LATEST_SUPERVISED = 400  # noisier latents than this are trained on for denoising only


def draw_noise(latents: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Noise like latents (B, C, g, g) and timesteps (B,).

    Three quarters of the batch get inference's own, the rest others, half of them near it.
    """
    count = len(latents)
    noise = torch.randn(latents.shape, generator=generator)
    noise[: 3 * count // 4] = fixed_noise(latents.shape[-1])
    near = TIMESTEP + 50 * torch.randn(count, generator=generator)
    uniform = torch.rand(count, generator=generator) * LATEST_SUPERVISED
    timesteps = torch.where(torch.arange(count) < 7 * count // 8, near, uniform).clamp(0, LATEST_SUPERVISED).long()
    timesteps[: 3 * count // 4] = TIMESTEP
    return noise, timesteps


@functools.cache
def fixed_noise(grid: int) -> Tensor:
    """The noise (1, C, g, g) that inference adds to latents of side `grid`."""
    return torch.randn((1, LATENT_CHANNELS, grid, grid), generator=torch.Generator().manual_seed(NOISE_SEED))


def enhance(text: Tensor, spans: Tensor, generator: torch.Generator) -> Tensor:
    """Category enhancement at a random strength, the usual one most often: text (B, L, E), spans (B, K, L)."""
    usual = torch.rand(len(text), generator=generator) < 0.6
    factor = torch.where(usual, torch.tensor(ENHANCEMENT), 1 + 0.8 * torch.rand(len(text), generator=generator))
    focus = spans.amax(1)[..., None]  # (B, L, 1)
    return text * (1 + focus * (factor[:, None, None] - 1))
