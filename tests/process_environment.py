"""What processes started by tests see: this repository, one thread, no GPU."""

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parent.parent
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}",
    "OMP_NUM_THREADS": "1",
    "CUDA_VISIBLE_DEVICES": "",
    "TOKENIZERS_PARALLELISM": "false",
}

# arguments of accelerate: two processes on this machine, at a free port. With --cpu it would start a single one; where
# no GPU is seen, as above, these are on the CPU
TWO_PROCESSES = [
    *["launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1", "--num_cpu_threads_per_process", "1"],
    *["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"],
]


def address_line(server: subprocess.Popen[str]) -> str:
    """The line in which a page's server tells its address on its stdout, a pipe. AssertionError with all it printed."""
    assert server.stdout is not None
    lines = []
    for line in server.stdout:
        lines.append(line)
        if line.startswith("iSeg is at "):
            return line
    raise AssertionError("".join(lines) or "nothing was printed")
