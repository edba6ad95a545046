"""What a shard leaves beside its results, OUT/shards/I-of-N/: shard.json and errors.jsonl; `iseg gather` reads them."""

import json
import re
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from iseg.errors import InputError
from iseg.files.export import write_bytes, write_json
from iseg.texts import read_json

FOLDER, RECORD, ERRORS = "shards", "shard.json", "errors.jsonl"
STARTED, FINISHED = "started", "finished"


def shard_folder(out: Path, shard: tuple[int, int]) -> Path:
    """OUT/shards/I-of-N of shard (I, N)."""
    return out / FOLDER / f"{shard[0]}-of-{shard[1]}"


def plan(names: Iterable[str], **same: Any) -> dict[str, Any]:
    """What all shards of a run must have in common: the images, known by their number and a digest, and `same`."""
    total, count = sha256(), 0
    for name in names:
        total.update(name.encode("utf-8", "surrogatepass") + b"\0")
        count += 1
    return {"images": count, "names_sha256": total.hexdigest(), **same}


def begin(out: Path, shard: tuple[int, int], content: Mapping[str, Any]) -> None:
    """Note that a shard is worked on; until `finish` says otherwise it is not whole.

    content: `kind` (see `iseg.cli.gather`), `plan` and whatever gathering needs.
    """
    write_json(shard_folder(out, shard) / RECORD, {**content, "state": STARTED})


def finish(out: Path, shard: tuple[int, int], content: Mapping[str, Any], stopped: str | None = None) -> None:
    """Note what became of a shard: `failures`, {image: reason}, go to errors.jsonl too, one line each.

    stopped: why it ended early; it is not whole then.
    """
    lines = [json.dumps({"image": name, "error": why}) + "\n" for name, why in content["failures"].items()]
    write_bytes(shard_folder(out, shard) / ERRORS, "".join(lines).encode())
    write_json(shard_folder(out, shard) / RECORD, {**content, "state": stopped or FINISHED})


def read_record(out: Path, shard: tuple[int, int]) -> dict[str, Any]:
    """What `begin` or `finish` wrote. Raises InputError for a file that is not that."""
    return _read(shard_folder(out, shard) / RECORD)


def read_shards(out: Path, count: int | None = None) -> list[dict[str, Any]]:
    """The records of all shards of a run, in their order.

    count: how many there are to be; by default what the folders' names say.

    Raises InputError that names every shard that is missing or not finished, and where shards are of different runs.
    """
    found = _found(out)
    counts = sorted({number for _, number in found})
    if not counts:
        raise InputError(f"{out}: holds no shards: expected the --out of runs with --shard I/N")
    if count is None and len(counts) > 1:
        said = " and ".join(map(str, counts))
        raise InputError(f"{out}: holds shards of {said}: give --shards N, or remove the others in {out / FOLDER}")
    total = counts[0] if count is None else count
    records: list[dict[str, Any]] = []
    lacking: list[str] = []
    for index in range(1, total + 1):
        record = _read(found[index, total]) if (index, total) in found else None
        if record is None:
            lacking.append(f"shard {index}/{total} is missing")
        elif record["state"] != FINISHED:
            why = "not finished" if record["state"] == STARTED else f"not finished: {record['state']}"
            lacking.append(f"shard {index}/{total} is {why}")
        else:
            records.append(record)
    if lacking:
        raise InputError(f"{out}: {'; '.join(lacking)}: run what is named with the same command")
    for index, record in enumerate(records, 1):
        for key in ("kind", "plan"):
            if record[key] != records[0][key]:
                differing = _differing(records[0], record)
                raise InputError(
                    f"{out}: shards 1/{total} and {index}/{total} are of runs that differ ({differing}): run one "
                    "of them again with the settings of the other"
                )
    return records


def _found(out: Path) -> dict[tuple[int, int], Path]:
    """{(index, count): its record} of the shards that were begun."""
    found = {}
    for path in out.glob(f"{FOLDER}/*/{RECORD}"):
        match = re.fullmatch(r"(\d+)-of-(\d+)", path.parent.name)
        if match:
            found[int(match[1]), int(match[2])] = path
    return found


def _read(path: Path) -> dict[str, Any]:
    content = read_json(path, "the record of a shard")
    if not isinstance(content, dict) or not {"kind", "plan", "state"} <= content.keys():
        raise InputError(f"{path}: is not the record of a shard: remove it and run the shard again")
    return content


def _differing(first: Mapping[str, Any], second: Mapping[str, Any]) -> str:
    if first["kind"] != second["kind"]:
        return f"{first['kind']} and {second['kind']}"
    plans = first["plan"], second["plan"]
    return ", ".join(sorted(key for key in {**plans[0], **plans[1]} if plans[0].get(key) != plans[1].get(key)))
