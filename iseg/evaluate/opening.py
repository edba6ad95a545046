"""A run before its first image: the data opened, its folders held, other settings refused."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from accelerate import PartialState

from iseg.data import open_items
from iseg.data.classes import load_classes
from iseg.data.items import Item
from iseg.errors import InputError, echo
from iseg.evaluate import outputs
from iseg.evaluate.config import Evaluation, computed, variants
from iseg.evaluate.dataset_run import Run, begin_shard
from iseg.evaluate.outputs import Outputs
from iseg.evaluate.trouble import logged

WAIT = timedelta(days=30)  # a process that is done early waits for the others


@contextmanager
def open_run(evaluation: Evaluation) -> Iterator[Run]:
    """Open the data and hold the folders of every variant while the block lasts.

    Raises InputError for data that is not complete, and if a folder holds masks of other settings or another run is
    making some there. What else goes wrong in the block is logged in OUT and raised as CodeError.
    """
    run = start(evaluation)
    with ExitStack() as held, logged(Path(evaluation.out)):
        for variant in variants(evaluation):
            folder = Outputs(Path(evaluation.out) / variant.folder, evaluation.save_scores)
            held.callback(folder.close)
            if evaluation.data.kind == "folder":
                check_names(folder, run.known, str(evaluation.data.root))
            run.outputs.append((variant, folder))
        hold(run)
        begin_shard(run)
        yield run


def start(evaluation: Evaluation) -> Run:
    """The data and the processes of a run that holds no folder yet. Raises InputError for data that is not complete."""
    data = evaluation.data
    classes = load_classes(data.classes)
    known = open_items(data.kind, data.split, data.root, data.truth, data.background)
    state = PartialState(cpu=evaluation.device == "cpu", timeout=WAIT)
    device = str(state.device) if evaluation.device == "auto" else evaluation.device
    return Run(evaluation, classes, known, known[: evaluation.limit], state, device, [])


def check_names(folder: Outputs, items: Sequence[Item], root: str) -> None:
    """Raises InputError where masks lie and none is of an image of a plain folder: they are of another one."""
    left = folder.names()
    if left and not {item.name for item in items} & set(left):
        raise InputError(
            f"{folder.folder} holds masks of another data set, e.g. of {echo(left[0])}, which is not in {root}: "
            "give another --out"
        )


def describe(run: Run) -> tuple[dict[str, Any], dict[str, Any]]:
    """What results depend on beside `computed`, and how they are made, as plain values for `claim`."""
    evaluation = run.evaluation
    precision = outputs.precision(evaluation.model, evaluation.backbone, evaluation.dtype, run.device)
    inputs: dict[str, Any] = {
        "weights_sha256": outputs.weights_digest(evaluation.model, evaluation.backbone, precision),
        "backbone": outputs.row_name(evaluation.model, evaluation.backbone),
        "vae": outputs.folder_digest(evaluation.vae),
        "class_words": [[entry.name, entry.word.word, entry.word.focus] for entry in run.classes],
    }
    names = ("model", "vae", "device", "batch_size", "readers", "limit", "save_scores", "out")
    how: dict[str, Any] = {key: getattr(evaluation, key) for key in names}
    how |= {key: getattr(evaluation.data, key) for key in ("root", "classes", "labels")}
    how["precision"] = precision
    return inputs, how


def hold(run: Run) -> None:
    """Write the settings of every folder, or take up what an earlier run with the same left. InputError otherwise."""
    inputs, how = describe(run)
    for variant, folder in run.outputs:
        before = folder.open({**computed(run.evaluation, variant.recipe), **inputs}, how, {"dtype": "precision"})
        if before.get("precision", how["precision"]) != how["precision"]:
            run.say(f"{folder.folder}: its masks were made in {before['precision']}, the others will be in "
                    f"{how['precision']}; --dtype keeps to one precision")  # fmt: skip
