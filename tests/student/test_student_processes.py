"""Two processes that share a training: they learn what one learns, and end together."""

import json
import signal
import subprocess
import sys

import numpy as np
import pytest
from process_environment import ENVIRONMENT, ROOT, TWO_PROCESSES
from safetensors.torch import load_file
from student_spread import PictureNorm
from torch import nn

from iseg.student.main import main

LAUNCH = [
    sys.executable,
    str(ROOT / "scripts" / "launch.py"),
    *TWO_PROCESSES,
    str(ROOT / "tests" / "student_spread.py"),
]
# what a network drops differs from process to process
SAME = ["--network.hidden_dropout_prob", "0", "--network.classifier_dropout_prob", "0", "--network.drop_path_rate", "0"]


def test_two_processes_learn_what_one_learns_and_end_together(config, tmp_path, monkeypatch):
    """Losses to 1e-4 (sums over a batch are rounded otherwise in two parts), also of one that goes on from there.

    Only the second process gets the signal.
    """
    out, alone = tmp_path / "two", tmp_path / "one"
    run = subprocess.run(
        [*LAUNCH, "--config", str(config), "--out", str(out), *SAME],
        env=ENVIRONMENT | {"SIGNALLED": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=500,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    assert run.returncode == 130, run.stdout
    assert len(losses(out)) == 3

    monkeypatch.setattr(nn, "BatchNorm2d", PictureNorm)
    for folder in (out, alone):
        assert main(["train", "--config", str(config), "--out", str(folder), *SAME]) == 0
    assert losses(out) == pytest.approx(losses(alone), rel=1e-4)
    one, two = (load_file(folder / "last" / "model.safetensors") for folder in (alone, out))
    assert all(np.allclose(one[name], two[name], atol=1e-3) for name in one)


def losses(out) -> list[float]:
    return json.loads((out / "checkpoint" / "checkpoint.json").read_text())["losses"]
