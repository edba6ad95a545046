"""A run over a data set: its folders held, the missing masks made, all of them scored."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from accelerate import PartialState
from accelerate.utils import gather_object

from iseg.data import open_items
from iseg.data.classes import LabelClass, load_classes
from iseg.data.items import Item
from iseg.data.labels import read_labels
from iseg.errors import InputError, echo
from iseg.evaluate import outputs
from iseg.evaluate.config import Evaluation, Variant, computed, variants
from iseg.evaluate.labels import RunLabels
from iseg.evaluate.loading import Outcome
from iseg.evaluate.outputs import Outputs
from iseg.evaluate.report import report
from iseg.evaluate.run import Runner
from iseg.evaluate.trouble import logged
from iseg.pipeline import ISeg

WAIT = timedelta(days=30)  # a process that is done early waits for the others


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
            from iseg.evaluate.views import segment_averaged  # builds on this module

            return segment_averaged(run, evaluation, labels)
        return run.segment(labels)


@dataclass
class Run:
    """A run whose folders are held.

    Attributes:
        evaluation: its settings.
        classes: of its data set; known: all its images; items: those of the limit.
        state: the processes that share it.
        device: where it computes.
        outputs: the variants and the folder of each.
    """

    evaluation: Evaluation
    classes: list[LabelClass]
    known: list[Item]
    items: list[Item]
    state: PartialState
    device: str
    outputs: list[tuple[Variant, Outputs]]

    def say(self, line: str) -> None:
        """Print, in one of the processes."""
        if self.state.is_main_process:
            print(line)

    def segment(
        self,
        by_image: Mapping[str, list[int]] | None = None,
        unlabelled: Mapping[str, str] | None = None,
        make_runner: Callable[..., Runner] = Runner,
    ) -> int:
        """Make the masks that are missing, then score them all. Returns the exit code.

        Args:
            by_image: {image: class ids} of a file of labels; None takes the classes present in the truth.
            unlabelled: {image: why it has no labels}.
            make_runner: `Runner`, or what makes one that works in another way.
        """
        labels, folders = RunLabels(self.classes, by_image, unlabelled), [folder for _, folder in self.outputs]
        done = sum(labels.finished(item, folders) for item in self.items)
        changed = sum(labels.changed(item, folders) for item in self.items)
        self.state.wait_for_everyone()  # all processes have looked before the first one writes
        if done:
            self.say(f"{done} of {len(self.items)} images were segmented before with the same configuration: kept")
        if changed:
            self.say(f"{changed} of {len(self.items)} images have other labels than before: they are segmented again")
        outcome = Outcome()
        if done < len(self.items):
            evaluation = self.evaluation
            seg = ISeg.from_pretrained(
                evaluation.model,
                evaluation.recipe,
                self.device,
                evaluation.dtype,
                evaluation.backbone,
                evaluation.vae,
            )
            runner = make_runner(seg, self.classes, by_image, self.outputs, evaluation.readers, unlabelled)
            outcome = runner.run(self._share(), show=self.state.is_main_process)
        if not self.state.is_main_process:
            for folder in folders:
                folder.close()
        outcome = merge(gather_object([outcome]))  # also waits until every process is done
        code = 0
        if self.state.is_main_process:
            code = report(self.evaluation, self.items, self.classes, self.outputs, outcome)
        self.state.wait_for_everyone()
        return code

    def _share(self) -> list[list[Item]]:
        """The batches of this process."""
        step = self.evaluation.batch_size
        batches = [self.items[start : start + step] for start in range(0, len(self.items), step)]
        return batches[self.state.process_index :: self.state.num_processes]


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


def merge(outcomes: Sequence[Outcome]) -> Outcome:
    """The outcomes of all processes as one."""
    total = Outcome()
    for outcome in outcomes:
        total.failures |= outcome.failures
        total.skipped += outcome.skipped
        total.stopped = total.stopped or outcome.stopped
    return total
