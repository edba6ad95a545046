"""One shard of a folder: which images are its own, the record it leaves, and all shards summed up as one run."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from iseg.cli.folder import Record, decides, head, write_summary_of
from iseg.cli.settings import Job
from iseg.data.items import Item
from iseg.errors import InputError
from iseg.files import shards
from iseg.shards import in_shard, parse_shard

KIND = "segment"


def begin(job: Job, items: list[Item]) -> list[Item]:
    """The images of the job's shard, which is noted as begun; all images of a job without one."""
    if job.settings.shard is None:
        return items
    part = parse_shard(job.settings.shard)
    mine = [(place, item) for place, item in enumerate(items) if in_shard(item.name, *part)]
    settings = json.dumps([decides(job), job.save], sort_keys=True)
    content: dict[str, Any] = {
        "kind": KIND,
        "plan": shards.plan(
            (item.name for item in items),
            settings_sha256=hashlib.sha256(settings.encode(errors="surrogatepass")).hexdigest(),
        ),
        "head": head(job, len(items)),
        "coco": "coco" in job.save,
        "items": [[place, item.name, item.image.name] for place, item in mine],
        "failures": {},
    }
    shards.begin(Path(job.settings.out), part, content)
    return [item for _, item in mine]


def end(job: Job, items: list[Item], record: Record) -> None:
    """Note what became of the job's shard."""
    out, part = Path(job.settings.out), parse_shard(job.settings.shard or "")
    tried = {*record.done, *record.kept, *record.failed}
    stopped = record.stopped or (None if all(item.name in tried for item in items) else "ended early")
    shards.finish(out, part, {**shards.read_record(out, part), "failures": record.failed}, stopped)


def gather(out: Path, records: Sequence[dict[str, Any]]) -> int:
    """Write OUT/summary.json, and OUT/coco.json if asked for, of all shards. Returns the exit code.

    Raises InputError for a result that lacks, with its shard.
    """
    placed: list[tuple[int, Item, str | None]] = []
    for index, record in enumerate(records, 1):
        for place, name, file in record["items"]:
            why = record["failures"].get(name)
            if why is None and not (out / f"{name}.json").is_file():
                raise InputError(f"{out}: shard {index}/{len(records)} lacks {name}.json: run that shard again")
            placed.append((place, Item(name, Path(file)), why))
    placed.sort(key=lambda entry: entry[0])
    failed = {item.name: why for _, item, why in placed if why is not None}
    items = [item for _, item, _ in placed]
    whole = Record(done=[item.name for item in items if item.name not in failed], failed=failed)
    write_summary_of(out, records[0]["head"], records[0]["coco"], items, whole)
    print(f"{len(whole.done)} of {len(items)} images done, {len(failed)} failed: {out / 'summary.json'}")
    return 1 if failed else 0
