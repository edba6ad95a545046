"""Where a run over many images spends its time: the data-set runner on pictogram scenes, seen by torch's profiler."""

import tempfile
from pathlib import Path
from typing import Any

from torch.profiler import ProfilerActivity
from torch.profiler import profile as torch_profile

from iseg.evaluate.main import run_command
from scripts.train_tiny.make_set import make_set

SHOWN, SEED = 12, 12


def profile(images: int) -> dict[str, Any]:
    """Run `configs/wsss/demo.yaml` over `images` scenes; print and return the operators that take longest."""
    with tempfile.TemporaryDirectory() as scratch:
        make_set(Path(scratch) / "scenes", 2 * images, SEED)  # half of them are the split `train`
        arguments = ["--config", "wsss/demo", "--data.root", f"{scratch}/scenes", "--out", f"{scratch}/masks"]
        with torch_profile(activities=[ProfilerActivity.CPU]) as recorded:
            code = run_command(arguments, "profile")
    averages = recorded.key_averages()
    whole = sum(event.self_cpu_time_total for event in averages)
    top = sorted(averages, key=lambda event: -event.self_cpu_time_total)[:SHOWN]
    shares = {event.key: round(event.self_cpu_time_total / whole, 4) for event in top}
    for name, share in shares.items():
        print(f"{100 * share:5.1f} %  {name}")
    return {"exit code": code, "operators": shares}
