"""What a full-size model costs in memory and in page faults on the CPU, and two ways to lower it."""

import ctypes

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from iseg.backbones.build import replace_module

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # parameters of mallopt(3)
LARGEST_REUSED = 100 << 20  # bytes; larger blocks, few per image, go back to the system
LARGEST_WIDENED = 32 << 20  # bytes of weights
MOST_KEPT = 128 << 20  # bytes of free memory


def reuse_freed_memory() -> None:
    """Let the C library keep freed blocks of up to 100 MB for the next tensor.

    By default glibc hands each large block back to the system, and the next feature map of the same size is paid for
    again, page by page; that can double the time of a convolution. Other C libraries are left alone.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # not glibc
        return
    mallopt(M_MMAP_THRESHOLD, LARGEST_REUSED)
    mallopt(M_TRIM_THRESHOLD, MOST_KEPT)


def hold_weights_in_half(model: nn.Module) -> None:
    """Keep the weights of linear and convolution layers in float16 and compute in float32; `model` is their owner.

    A layer's weights are widened while it works, of a large layer some outputs at a time; all else becomes float32.
    Memory for weights is halved; the result is that of a float32 model whose weights were rounded to float16.
    """
    for path, module in list(model.named_modules()):
        if isinstance(module, nn.Linear):
            replace_module(model, path, HalfLinear(module.half()))
        elif isinstance(module, nn.Conv2d):
            replace_module(model, path, HalfConv2d(module.half()))
        elif isinstance(module, nn.Embedding):
            replace_module(model, path, HalfEmbedding(module.half()))
        else:
            for name, tensor in (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)):
                if tensor.is_floating_point():
                    getattr(module, name).data = tensor.data.float()


class HalfLinear(nn.Linear):
    """A linear layer with float16 weights that computes in its input's type."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__(layer.in_features, layer.out_features, layer.bias is not None, device="meta")
        self.weight, self.bias = layer.weight, layer.bias

    def forward(self, input: Tensor) -> Tensor:
        """(..., inputs) -> (..., outputs)."""
        return _widened(self, input)


class HalfConv2d(nn.Conv2d):
    """A convolution with float16 weights that computes in its input's type."""

    def __init__(self, layer: nn.Conv2d) -> None:
        shape = (layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride, layer.padding, layer.dilation)
        super().__init__(*shape, layer.groups, layer.bias is not None, device="meta")  # type: ignore[arg-type]
        self.weight, self.bias = layer.weight, layer.bias

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, D, h, w)."""
        return _widened(self, input)


class HalfEmbedding(nn.Embedding):
    """A float16 table whose rows come out in float32: few of them are used, so they are widened, not the table."""

    def __init__(self, layer: nn.Embedding) -> None:
        super().__init__(layer.num_embeddings, layer.embedding_dim, layer.padding_idx, device="meta")
        self.weight = layer.weight

    def forward(self, input: Tensor) -> Tensor:
        """Ids (...) -> rows (..., D) float32."""
        return super().forward(input).float()


def _widened(module: nn.Linear | nn.Conv2d, x: Tensor) -> Tensor:
    """The forward pass of a layer whose weights are float16, in the type of `x`."""
    parts = -(-module.weight.numel() * x.element_size() // LARGEST_WIDENED)
    weights = module.weight.chunk(parts)
    biases = [None] * len(weights) if module.bias is None else module.bias.chunk(parts)
    pieces = []
    for half, bias in zip(weights, biases, strict=True):
        weight, bias = half.to(x.dtype), None if bias is None else bias.to(x.dtype)
        if isinstance(module, nn.Linear):
            pieces.append(F.linear(x, weight, bias))
        else:
            pieces.append(F.conv2d(x, weight, bias, module.stride, module.padding, module.dilation, module.groups))
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces, -1 if isinstance(module, nn.Linear) else 1)
