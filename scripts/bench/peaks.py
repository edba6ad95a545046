"""What the machine can do: measured GEMM and convolution rates, the FLOP of a call, how busy it keeps a GPU."""

import statistics
import time
from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch.autograd import DeviceType
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

CONVOLUTIONS = ((128, 512), (320, 64))  # channels and side of the VAE's first level and of the UNet's


def synchronize(device: torch.device) -> None:
    """Wait for the device's queue."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def median_time(call: Callable[[], Any], device: torch.device, repeats: int = 5) -> float:
    """Median seconds of a call, after one that does not count."""
    times = []
    for _ in range(repeats + 1):
        synchronize(device)
        start = time.perf_counter()
        call()
        synchronize(device)
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


@torch.inference_mode()
def measure_peaks(device: torch.device, dtype: torch.dtype) -> dict[str, float]:
    """TFLOP/s of a 2048 x 2048 matrix product and of the better of two 3x3 convolutions of the model."""
    options: dict[str, Any] = {"device": device, "dtype": dtype}
    a, b = torch.randn(2048, 2048, **options), torch.randn(2048, 2048, **options)
    rates = {"gemm": 2 * 2048**3 / median_time(lambda: a @ b, device) / 1e12}
    best = 0.0
    for channels, side in CONVOLUTIONS:
        x = torch.randn(1, channels, side, side, **options).to(memory_format=torch.channels_last)
        weight = torch.randn(channels, channels, 3, 3, **options).to(memory_format=torch.channels_last)
        flop = 2 * 9 * channels**2 * side**2
        taken = median_time(lambda x=x, w=weight: F.conv2d(x, w, padding=1), device)  # type: ignore[misc]
        best = max(best, flop / taken / 1e12)
    return {**rates, "convolution": best}


def count_flop(call: Callable[[], Any]) -> int:
    """FLOP of matrix products and convolutions of a call (a multiply-add is two)."""
    counter = FlopCounterMode(display=False)
    with counter, sdpa_kernel(SDPBackend.MATH):  # fused attention on the CPU is not counted
        call()
    return counter.get_total_flops()


def profiled(call: Callable[[], Any], device: torch.device) -> profile:
    """A call as torch's profiler sees it, a GPU's kernels included."""
    seen = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
    with profile(activities=seen) as recorded:
        call()
        synchronize(device)
    return recorded


def kernel_seconds(recorded: profile) -> float:
    """Seconds in which a GPU ran any kernel."""
    kernels = [event for event in recorded.events() or () if event.device_type == DeviceType.CUDA]
    return covered((event.time_range.start, event.time_range.end) for event in kernels) / 1e6


def busy_share(call: Callable[[], Any], device: torch.device) -> float | None:
    """Share of a call's time in which the GPU is busy: its kernels as profiled over the time without the profiler.

    None off CUDA.
    """
    if device.type != "cuda":
        return None
    seconds = median_time(call, device, 3)
    return kernel_seconds(profiled(call, device)) / seconds


def covered(spans: Iterable[tuple[float, float]]) -> float:
    """Length of the union of (start, end) intervals."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total
