"""The shards of an open-vocabulary run as one run: labels of all images, their quality, masks, scores."""

from pathlib import Path

from iseg.evaluate.dataset_run import Run
from iseg.evaluate.gather import Records, close, gather_evaluation, opened, outcome_of
from iseg.files.shards import read_shards, shard_folder
from iseg.texts import read_json
from ovs.labels import FAILURES, collect, measure, save_labels
from ovs.maps import measure_presence
from ovs.run import BOUND, compare, quality_table
from ovs.settings import OpenVocabulary


def gather(out: Path, records: Records) -> int:
    """Join the labels of all shards, measure and score as an unsharded run does. Returns the exit code.

    Raises InputError for what lacks, with its shard.
    """
    run = opened(out, records, OpenVocabulary)
    settings = run.evaluation
    assert isinstance(settings, OpenVocabulary)
    try:
        outcome = outcome_of(run, records)
        if settings.maps == "cross":
            _join_labels(settings, run, len(records))
            found = measure(settings, run.items, run.classes)
        code = run.conclude(outcome)
        if settings.maps != "cross":
            found = measure_presence(settings, run)
    finally:
        close(run)
    if found:
        print(quality_table(found))
    if settings.upper_bound:
        code = max(code, gather_evaluation(out / BOUND, read_shards(out / BOUND, len(records))))
        compare(out, out / BOUND, found)
    return code


def _join_labels(settings: OpenVocabulary, run: Run, count: int) -> None:
    out, failures = Path(settings.out), dict[str, str]()
    for index in range(1, count + 1):
        path = shard_folder(out, (index, count)) / FAILURES
        if path.is_file():
            failures |= read_json(path, "images without labels")
    save_labels(out, collect(settings.tagging, run.items, run.classes, out), dict(sorted(failures.items())))
