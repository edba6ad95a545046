"""The shards of a run over a data set as one run: all there, then scored as an unsharded run is."""

from collections.abc import Callable, Container, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from iseg.data.items import Item
from iseg.errors import InputError
from iseg.evaluate.config import Evaluation, variants
from iseg.evaluate.dataset_run import Run, merge
from iseg.evaluate.loading import Outcome
from iseg.evaluate.opening import start
from iseg.evaluate.outputs import CONFIG, Outputs
from iseg.evaluate.read_config import AnyEvaluation, restored
from iseg.evaluate.regions import COUNTS, RegionEvaluation, report_regions
from iseg.files.claim import FolderLock
from iseg.files.shards import shard_folder
from iseg.shards import in_shard

Records = Sequence[dict[str, Any]]  # of all shards, see `iseg.files.shards.read_shards`


def gather_evaluation(out: Path, records: Records) -> int:
    """Score the masks of all shards. Returns the exit code.

    Raises InputError for a mask that lacks, with its shard, and for data that is not as the shards saw it.
    """
    run = opened(out, records, Evaluation)
    try:
        return run.conclude(outcome_of(run, records))
    finally:
        close(run)


def gather_regions(out: Path, records: Records) -> int:
    """Score the counts of all shards; see `gather_evaluation`."""
    run = opened(out, records, RegionEvaluation)
    close(run)  # regions are one folder of counts, which is read only
    failures = merge(_outcomes(records), run.items).failures
    check_there(run, records, failures, lambda item: (out / COUNTS / f"{item.name}.json").is_file())
    assert isinstance(run.evaluation, RegionEvaluation)
    return report_regions(run.evaluation, run, dict(sorted(failures.items())))


def opened(out: Path, records: Records, kind: type[AnyEvaluation]) -> Run:
    """The run that the shards are parts of, with its folders but without a model.

    Raises InputError if its images are not those of the shards.
    """
    where = str(shard_folder(out, (1, len(records))))
    evaluation = replace(restored(kind, records[0]["settings"], where), out=str(out), shard=None)
    run = start(evaluation)
    if len(run.items) != records[0]["plan"]["images"]:
        raise InputError(
            f"{out}: its shards saw {records[0]['plan']['images']} images and there are {len(run.items)} now: gather "
            "where the data set is as it was, or run the shards again"
        )
    for variant in variants(evaluation):
        folder = Outputs(out / variant.folder, evaluation.save_scores)
        folder.lock = FolderLock(folder.folder / CONFIG)
        run.outputs.append((variant, folder))
    return run


def close(run: Run) -> None:
    """Let go of the folders of `opened`."""
    for _, folder in run.outputs:
        folder.close()


def outcome_of(run: Run, records: Records) -> Outcome:
    """What the shards left beside their masks, as one. Raises InputError for a mask that lacks."""
    outcome = merge(_outcomes(records), run.items)
    lost = {*outcome.failures, *outcome.skipped}
    check_there(run, records, lost, lambda item: all(folder.finished(item.name) for _, folder in run.outputs))
    return outcome


def check_there(run: Run, records: Records, lost: Container[str], there: Callable[[Item], bool]) -> None:
    """Raises InputError naming the first image, and its shard, that is neither `lost` (names) nor `there(item)`."""
    step, count = run.evaluation.batch_size, len(records)
    for position, item in enumerate(run.items):
        if item.name not in lost and not there(item):
            first = run.items[position - position % step].name
            index = next(index for index in range(1, count + 1) if in_shard(first, index, count))
            raise InputError(f"{run.evaluation.out}: shard {index}/{count} lacks {item.name}: run that shard again")


def _outcomes(records: Records) -> list[Outcome]:
    return [Outcome(dict(record["failures"]), list(record.get("skipped", []))) for record in records]
