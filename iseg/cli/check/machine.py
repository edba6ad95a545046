"""What a machine is: processor, devices, memory, disk. Nothing heavy is imported before it is asked for."""

import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from iseg.cli.check.report import Finding

if TYPE_CHECKING:
    import torch

GIB = 2**30
DOWNLOAD = 6 * GIB  # free disk that the weights of Stable Diffusion 2.1 in float32 ask for, with some room
RESULTS = GIB // 2  # free disk that results ask for
LEAST = 2 * GIB  # free memory below which even the embedded model is at risk


def items() -> Iterator[tuple[str, Callable[[], Finding]]]:
    """(name, check) of every part of the machine."""
    yield from (("system", system), ("processor", processor), ("devices", devices), ("memory", memory))
    yield "disk of weights", lambda: disk(hub_cache(), DOWNLOAD)
    yield "disk of results", lambda: disk(Path.cwd(), RESULTS)


def system() -> Finding:
    """Operating system and kind of processor; never the machine's name."""
    parts = [platform.system(), platform.release(), platform.machine()]
    return Finding(" ".join(parts), values={"system": parts[0], "release": parts[1], "machine": parts[2]})


def processor_name() -> str:
    """What the processor calls itself."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    if platform.system() == "Darwin":
        asked = subprocess.run(
            ["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True, check=False
        )
        if asked.stdout.strip():
            return asked.stdout.strip()
    return platform.processor() or platform.machine() or "unknown processor"


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def device_name(device: "torch.device") -> str:
    """What a device is called: the card's name, else that of the processor."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return processor_name() if device.type in ("cpu", "mps") else str(device)


def processor() -> Finding:
    """Name, cores, and what torch makes of them."""
    import torch

    from iseg.backbones.load import computes_in_bfloat16

    name, count, own = processor_name(), cores(), computes_in_bfloat16()
    kind = torch.backends.cpu.get_cpu_capability()
    threads = torch.get_num_threads()
    text = f"{name}, {count} cores, {threads} threads, {kind}, bfloat16 {'computed' if own else 'emulated'}"
    values = {"name": name, "cores": count, "threads": threads, "capability": kind, "bfloat16": own}
    return Finding(text, values=values)


def devices() -> Finding:
    """The GPUs, each asked for a small sum. A driver that torch cannot use is a warning."""
    import torch

    found = []
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        device = torch.device("cuda", index)
        free, total = torch.cuda.mem_get_info(device)
        if float(torch.ones(4, device=device).sum()) != 4:
            raise RuntimeError(f"{device} computes wrongly: the sum of four ones is not 4")
        major, minor = torch.cuda.get_device_capability(device)
        found.append({"device": str(device), "name": device_name(device), "total": total, "free": free,
                      "capability": f"{major}.{minor}"})  # fmt: skip
    if torch.backends.mps.is_available():
        found.append({"device": "mps", "name": device_name(torch.device("mps"))})
    values = {"devices": found, "cuda of torch": torch.version.cuda}
    if found:
        return Finding("; ".join(map(_device_text, found)), values=values)
    if Path("/proc/driver/nvidia").is_dir() or shutil.which("nvidia-smi"):
        text = f"an NVIDIA driver is here, but torch {torch.__version__} finds no CUDA device: the CPU computes"
        return Finding(text, "warning", values)
    return Finding("no CUDA or MPS device: the CPU computes", values=values)


def _device_text(found: dict) -> str:
    memory = f", {size(found['free'])} of {size(found['total'])} free" if "total" in found else ""
    capability = f", compute capability {found['capability']}" if "capability" in found else ""
    return f"{found['device']}: {found['name']}{memory}{capability}"


def free_memory() -> int | None:
    """Bytes of memory that this process may still take, its container's limit included; None where not known."""
    info = Path("/proc/meminfo")
    if not info.is_file():
        return None
    lines = dict(line.split(":") for line in info.read_text(encoding="ascii").splitlines())
    available = int(lines["MemAvailable"].split()[0]) * 1024
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if limit.is_file() and used.is_file() and (most := limit.read_text(encoding="ascii").strip()).isdigit():
        available = min(available, int(most) - int(used.read_text(encoding="ascii")))
    return available


def memory() -> Finding:
    """Free memory."""
    free = free_memory()
    if free is None:
        return Finding("free memory is not known on this system", "warning")
    few = free < LEAST
    return Finding(f"{size(free)} free" + (f": expected at least {size(LEAST)}" if few else ""),
                   "warning" if few else "ok", {"free": free})  # fmt: skip


def hub_cache() -> Path:
    """Where the hub's client keeps what it downloads."""
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE)


def disk(folder: Path, least: int) -> Finding:
    """Free space where a folder is, or would be made."""
    there = next(each for each in (folder, *folder.parents) if each.exists())
    free = shutil.disk_usage(there).free
    few = free < least
    return Finding(f"{size(free)} free at {folder}" + (f": expected at least {size(least)}" if few else ""),
                   "warning" if few else "ok", {"free": free})  # fmt: skip


def peak_memory(device: "torch.device") -> dict[str, float]:
    """MB: resident set of this process, and the device's own where there is one (on mps: what is held now)."""
    import torch

    status = Path("/proc/self/status")
    if status.is_file():  # getrusage's figure starts at that of the process which started this one
        line = next(line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM"))
        peak = {"peak RSS MB": int(line.split()[1]) / 1024}
    else:
        import resource  # not on Windows

        peak = {"peak RSS MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}
    if device.type == "cuda":
        peak["peak device MB"] = torch.cuda.max_memory_allocated(device) / 2**20
    elif device.type == "mps":
        peak["peak device MB"] = torch.mps.driver_allocated_memory() / 2**20
    return peak


def size(count: float) -> str:
    """Bytes for people."""
    return f"{count / GIB:.1f} GiB" if count >= GIB else f"{count / 2**20:.0f} MiB"
