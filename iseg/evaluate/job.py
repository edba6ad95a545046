"""A run over a data set whose classes are known: of its labels' file or of the truth."""

from pathlib import Path

from iseg.data.classes import load_classes
from iseg.data.labels import read_labels
from iseg.evaluate.config import Evaluation
from iseg.evaluate.opening import open_run
from iseg.evaluate.views import segment_averaged


def evaluate(evaluation: Evaluation) -> int:
    """Make the masks that are missing, then score them all. Returns the exit code.

    Under `accelerate launch` the batches are dealt to the processes in turn; process 0 prints and scores.

    Raises InputError for settings, data, model or output folder that cannot be used; single images that cannot are
    recorded, and the rest goes on. An error of the code is logged in OUT and raised as CodeError.
    """
    data = evaluation.data
    labels = read_labels(Path(data.labels), load_classes(data.classes)) if data.labels else None
    with open_run(evaluation) as run:
        if evaluation.averages():
            return segment_averaged(run, evaluation, labels)
        return run.segment(labels)
