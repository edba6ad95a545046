"""A run over a data set: the missing masks made, all of them scored, or a shard's part noted for the others."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from accelerate import PartialState
from accelerate.utils import gather_object

from iseg.data.classes import LabelClass
from iseg.data.items import Item
from iseg.evaluate.config import Evaluation, Variant
from iseg.evaluate.labels import RunLabels
from iseg.evaluate.loading import Outcome
from iseg.evaluate.outputs import Outputs
from iseg.evaluate.report import report, sum_up
from iseg.evaluate.run import Runner
from iseg.files import shards
from iseg.pipeline import ISeg
from iseg.shards import in_shard


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

    @property
    def batches(self) -> list[list[Item]]:
        """The batches of this run's shard, dealt by the name of their first image.

        They are cut before they are dealt: what a batch holds, and so what is computed, is the same in any shard.
        """
        step, part = self.evaluation.batch_size, self.evaluation.part
        every = [self.items[start : start + step] for start in range(0, len(self.items), step)]
        return every if part is None else [batch for batch in every if in_shard(batch[0].name, *part)]

    @property
    def mine(self) -> list[Item]:
        """The images of this run's shard; all of them without one."""
        return [item for batch in self.batches for item in batch]

    @property
    def place(self) -> Path:
        """Where files about the whole run go: OUT, or the folder of the shard below it."""
        out, part = Path(self.evaluation.out), self.evaluation.part
        return out if part is None else shards.shard_folder(out, part)

    def say(self, line: str) -> None:
        """Print, in one of the processes."""
        if self.state.is_main_process:
            print(line)

    def load_model(self) -> ISeg:
        """The model of the settings, on this process's device. Raises InputError for one that cannot be had."""
        given = self.evaluation
        return ISeg.from_pretrained(given.model, given.recipe, self.device, given.dtype, given.backbone, given.vae)

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
        mine = self.mine
        done = sum(labels.finished(item, folders) for item in mine)
        changed = sum(labels.changed(item, folders) for item in mine)
        self.state.wait_for_everyone()  # all processes have looked before the first one writes
        if done:
            self.say(f"{done} of {len(mine)} images were segmented before with the same configuration: kept")
        if changed:
            self.say(f"{changed} of {len(mine)} images have other labels than before: they are segmented again")
        outcome = Outcome()
        if done < len(mine):
            readers = self.evaluation.readers
            runner = make_runner(self.load_model(), self.classes, by_image, self.outputs, readers, unlabelled)
            outcome = runner.run(self._share(), show=self.state.is_main_process)
        if not self.state.is_main_process:
            for folder in folders:
                folder.close()
        outcome = merge(gather_object([outcome]), mine)  # also waits until every process is done
        code = 0
        if self.state.is_main_process:
            code = self.conclude(outcome)
        self.state.wait_for_everyone()
        return code

    def conclude(self, outcome: Outcome) -> int:
        """Score and report the run; of a shard note what became of it. Returns the exit code."""
        if self.evaluation.part is None:
            return report(self.evaluation, self.items, self.classes, self.outputs, outcome)
        return finish_shard(self, outcome)

    def _share(self) -> list[list[Item]]:
        """The batches of this process."""
        return self.batches[self.state.process_index :: self.state.num_processes]


def begin_shard(run: Run) -> None:
    """Note that the run's shard, if it is of one, is worked on."""
    if run.evaluation.part is not None and run.state.is_main_process:
        shards.begin(Path(run.evaluation.out), run.evaluation.part, shard_record(run, Outcome()))


def finish_shard(run: Run, outcome: Outcome) -> int:
    """Note what became of the run's shard, for `iseg gather`, and print it. Returns the exit code."""
    part, total = run.evaluation.part, len(run.mine)
    assert part is not None
    shards.finish(Path(run.evaluation.out), part, shard_record(run, outcome), outcome.stopped)
    run.say(f"shard {part[0]}/{part[1]}: {total} of {len(run.items)} images; `iseg gather {run.evaluation.out}` scores "
            "all shards")  # fmt: skip
    return sum_up(outcome.failures, total, outcome.stopped)


def shard_record(run: Run, outcome: Outcome) -> dict[str, Any]:
    """What `iseg gather` is told of the run's shard."""
    evaluation = run.evaluation
    return {
        "kind": evaluation.entry,
        "plan": shards.plan((item.name for item in run.items), batch_size=evaluation.batch_size),
        "settings": asdict(evaluation),
        "failures": outcome.failures,
        "skipped": outcome.skipped,
    }


def merge(outcomes: Sequence[Outcome], items: Sequence[Item]) -> Outcome:
    """The outcomes of all processes as one, in the order of the images."""
    total = Outcome()
    for outcome in outcomes:
        total.failures |= outcome.failures
        total.skipped += outcome.skipped
        total.stopped = total.stopped or outcome.stopped
    order = {item.name: position for position, item in enumerate(items)}
    total.failures = dict(sorted(total.failures.items(), key=lambda failure: order[failure[0]]))
    total.skipped.sort(key=order.__getitem__)
    return total
