"""One JSON file per image as the checkpoint of a run that is shared by processes."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from accelerate.utils import gather_object
from tqdm import tqdm

from iseg.data.items import Item
from iseg.errors import InputError
from iseg.evaluate.dataset_run import Run
from iseg.evaluate.signals import finish_first
from iseg.files.export import write_json
from iseg.work.trouble import Failure

Work = Callable[[Sequence[Item]], Iterator[dict[str, Any] | Failure]]


def make_records(run: Run, folder: Path, work: Work, done: str, desc: str) -> dict[str, str]:
    """Write FOLDER/NAME.json of every image that has none, each process its share. Returns {image: reason} that failed.

    An interrupted run goes on where it ended; images that failed are tried again.

    Args:
        run: its items and processes; the claim of its folder is the caller's.
        folder: of the records.
        work: images -> what is recorded of each, in order, or what is wrong with it; called if one is missing.
        done: what was done with an image, e.g. "labelled"; desc: of the progress bar.

    Raises Ended when a signal came, after the image at hand was saved.
    """
    state = run.state
    every = run.mine
    missing = [item for item in every if not (folder / f"{item.name}.json").is_file()]
    if len(missing) < len(every):
        kept = len(every) - len(missing)
        run.say(f"{kept} of {len(every)} images were {done} before with the same settings: kept")
    state.wait_for_everyone()  # all processes have looked before the first one writes
    mine = missing[state.process_index :: state.num_processes]
    failures: dict[str, str] = {}
    if mine:
        records = work(mine)
        with finish_first(state.is_main_process) as asked:
            for item in tqdm(mine, desc=desc, unit="image", disable=None if state.is_main_process else True):
                content = next(records)
                if isinstance(content, Failure):
                    failures[item.name] = content.reason
                else:
                    write_json(folder / f"{item.name}.json", content)
                if asked.number:
                    break
        asked.obey()
    all_failures: dict[str, str] = {}
    for part in gather_object([failures]):  # also waits until every process is done
        all_failures |= part
    return dict(sorted(all_failures.items()))


def read_record(path: Path, kinds: dict[str, type], what: str) -> dict[str, Any]:
    """What a run wrote of one image: the values of `kinds`, each made of its kind.

    Raises InputError, "not readable as `what`", for a file that holds anything else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {key: kind(content[key]) for key, kind in kinds.items()}
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        raise InputError(f"{path}: not readable as {what}") from None
