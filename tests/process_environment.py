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


def address_line(server: subprocess.Popen[str]) -> str:
    """The line in which a page's server tells its address on its stdout, a pipe. AssertionError with all it printed."""
    assert server.stdout is not None
    lines = []
    for line in server.stdout:
        lines.append(line)
        if line.startswith("iSeg is at "):
            return line
    raise AssertionError("".join(lines) or "nothing was printed")
