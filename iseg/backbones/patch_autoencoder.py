"""A linear stand-in for a latent diffusion model's autoencoder: one strided convolution, and its pseudo-inverse.

It has the interface of diffusers' `AutoencoderKL` as far as segmentation needs it, so that a small diffusion model
goes through the very code that Stable Diffusion goes through.
"""

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.autoencoders.vae import DecoderOutput, DiagonalGaussianDistribution
from diffusers.models.modeling_outputs import AutoencoderKLOutput
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn


class PatchAutoencoder(ModelMixin, ConfigMixin):  # type: ignore[misc]  # diffusers declares config_name in both
    """Latents are fixed linear features of square patches; nothing is random, and the posterior has no spread.

    Args:
        in_channels: colour channels of the image.
        latent_channels: features per patch.
        patch_size: side of a patch in pixels; the latent grid is the image divided by it.
        scaling_factor: what the diffusion model's latents are multiplied by, as in `AutoencoderKL`.
    """

    @register_to_config
    def __init__(
        self, in_channels: int = 3, latent_channels: int = 16, patch_size: int = 8, scaling_factor: float = 1.0
    ) -> None:
        super().__init__()
        self.encoder = nn.Conv2d(in_channels, latent_channels, patch_size, stride=patch_size)

    def encode(self, x: Tensor) -> AutoencoderKLOutput:
        """Image (B, 3, H, W) in [-1, 1], H and W multiples of the patch size -> `.latent_dist` of (B, C, H/p, W/p)."""
        patch = self.config["patch_size"]
        if x.shape[-2] % patch or x.shape[-1] % patch:
            raise ValueError(f"image of {x.shape[-2]}x{x.shape[-1]}: both sides must be multiples of {patch}")
        mean = self.encoder(x)
        posterior = DiagonalGaussianDistribution(torch.cat([mean, torch.zeros_like(mean)], dim=1), deterministic=True)
        return AutoencoderKLOutput(latent_dist=posterior)

    def decode(self, z: Tensor) -> DecoderOutput:
        """Latents (B, C, h, w) -> the closest image (B, 3, h p, w p): the least-squares inverse of `encode`."""
        weight = self.encoder.weight
        inverse = torch.linalg.pinv(weight.flatten(1).float()).T.reshape(weight.shape).to(z.dtype)
        assert self.encoder.bias is not None
        centred = z - self.encoder.bias.to(z.dtype)[:, None, None]
        return DecoderOutput(sample=F.conv_transpose2d(centred, inverse, stride=self.config["patch_size"]))
