"""A training in processes of its own, for tests of how they share a batch.

Its network has no batch norm: on the CPU each process would know the statistics of its own pictures only. The process
SIGNALLED, if that is set, gets Ctrl-C in the middle of update 3.
"""

import os
import signal
import sys

from torch import Tensor, nn

from iseg.student.main import main
from iseg.student.trainer import Trainer


class PictureNorm(nn.GroupNorm):
    """A norm of each picture alone, in the place of `nn.BatchNorm2d`."""

    def __init__(self, channels: int) -> None:
        super().__init__(1, channels)


if __name__ == "__main__":
    nn.BatchNorm2d = PictureNorm  # type: ignore[misc, assignment]  # a stand-in
    own = Trainer.update

    def update(self: Trainer, pixels: Tensor, labels: Tensor, weights: Tensor) -> float:
        if self.progress.step == 2 and os.environ.get("SIGNALLED") == os.environ.get("RANK", "0"):
            os.kill(os.getpid(), signal.SIGINT)
        return own(self, pixels, labels, weights)

    Trainer.update = update  # type: ignore[method-assign]  # a stand-in
    sys.exit(main(["train", *sys.argv[1:]]))
