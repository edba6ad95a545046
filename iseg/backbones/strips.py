"""The VAE's encoder in little memory on the CPU: large maps are worked through some rows at a time, and overwritten.

Stable Diffusion's VAE has maps of 134 MB. A block of diffusers holds five of them at once, and a convolution copies
its input and its output into layouts of its own. Here two are held, and copies are of strips. The result is the same.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from iseg.backbones.build import replace_module

STRIP_BYTES = 1 << 22  # of a map at a time


def use_strips(vae: nn.Module) -> None:
    """Let the encoder of a diffusers AutoencoderKL work in strips; other autoencoders are left alone."""
    from diffusers.models.downsampling import Downsample2D
    from diffusers.models.resnet import ResnetBlock2D

    module: Any
    for path, module in list(vae.named_modules()):
        if isinstance(module, ResnetBlock2D) and module.time_emb_proj is None and module.output_scale_factor == 1:
            replace_module(vae, path, StripResnet(module))
        elif isinstance(module, Downsample2D) and module.use_conv and module.norm is None:
            replace_module(vae, path, StripDownsample(module))


class StripConv(nn.Conv2d):
    """A 3x3 convolution that works in strips; see `convolve`."""

    def __init__(self, conv: nn.Conv2d, overwrite: bool = False, after: int = 0) -> None:
        shape = (conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, conv.padding)
        super().__init__(*shape, bias=conv.bias is not None, device="meta")  # type: ignore[arg-type]
        self.weight, self.bias = conv.weight, conv.bias
        self.overwrite, self.after = overwrite, after

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, D, h, w)."""
        return convolve(self, input, self.overwrite, self.after)


class StripResnet(nn.Module):
    """A residual block without time embedding that overwrites its maps; its parts are called as in diffusers."""

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.norm1, self.norm2, self.nonlinearity = block.norm1, block.norm2, block.nonlinearity
        self.conv1 = StripConv(block.conv1, overwrite=block.conv1.in_channels == block.conv1.out_channels)
        self.conv2 = StripConv(block.conv2, overwrite=block.conv2.in_channels == block.conv2.out_channels)
        self.conv_shortcut = block.conv_shortcut

    def forward(self, x: Tensor, temb: None = None) -> Tensor:
        """(B, C, H, W) -> (B, D, H, W), in x's place where D = C."""
        return residual_(self, x)


class StripDownsample(nn.Module):
    """A downsampling convolution in strips."""

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.conv = StripConv(block.conv, after=int(block.padding == 0))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, D, H / 2, W / 2)."""
        return self.conv(x)


def strip_rows(x: Tensor) -> int:
    """Rows of (B, C, H, W) that make a strip, at least 1."""
    return max(1, STRIP_BYTES * x.shape[-2] // (x.numel() * x.element_size()))


def convolve(conv: nn.Conv2d, x: Tensor, overwrite: bool = False, after: int = 0) -> Tensor:
    """3x3 convolution (B, C, H, W) -> (B, D, h, w) of stride (s, s), padding (p, p).

    Output rows [a, b) need the input rows [s a - p, s (b - 1) + 3 - p).

    Args:
        overwrite: put the result in x's place; it must have x's shape.
        after: rows and columns of zeros to append to x first.
    """
    stride, pad, rows = conv.stride[0], int(conv.padding[0]), x.shape[-2]
    total, width = ((side + after + 2 * pad - 3) // stride + 1 for side in x.shape[-2:])
    out = x if overwrite else x.new_empty(len(x), conv.out_channels, total, width)
    height = strip_rows(x)
    weight, bias = conv.weight.to(x.dtype), None if conv.bias is None else conv.bias.to(x.dtype)
    above = x.new_zeros(*x.shape[:2], pad, x.shape[-1])  # rows before the strip, as they were
    for start in range(0, total, height):
        end = min(start + height, total)
        last, following = stride * (end - 1) + 3 - pad, stride * end
        below = x.new_zeros(*x.shape[:2], max(0, last - rows), x.shape[-1])
        part = torch.cat([above, x[..., stride * start : min(last, rows), :], below], -2)
        part = F.pad(part, (0, after)) if after else part
        above = x[..., following - pad : following, :].clone()
        out[..., start:end, :] = F.conv2d(part, weight, bias, conv.stride, (0, pad))
    return out


def normalize_(norm: nn.GroupNorm, x: Tensor) -> Tensor:
    """Group normalisation of (B, C, H, W) in its place, some groups at a time."""
    size = norm.num_channels // norm.num_groups  # channels of a group
    step = size * max(1, norm.num_groups * STRIP_BYTES // (x.numel() * x.element_size()))
    for start in range(0, norm.num_channels, step):
        part = slice(start, min(start + step, norm.num_channels))
        chosen = x[:, part]
        chosen.copy_(F.group_norm(chosen, chosen.shape[1] // size, norm.weight[part], norm.bias[part], norm.eps))
    return x


def residual_(block: StripResnet, x: Tensor) -> Tensor:
    """A residual block without time embedding: (B, C, H, W) -> (B, D, H, W), in x's place where D = C."""
    hidden = block.conv1(block.nonlinearity(block.norm1(x)))
    hidden = block.conv2(block.nonlinearity(normalize_(block.norm2, hidden)))
    # x, not hidden, takes the sum: the encoder holds on to x until its whole level is done
    return x.add_(hidden) if block.conv_shortcut is None else hidden.add_(block.conv_shortcut(x))
