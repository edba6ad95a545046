"""Which images there are and which are done, by 64-bit digests of their ids; what is done twice is mended."""

import io
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from iseg.errors import InputError, echo
from iseg.label import rows, store
from iseg.settings import list_differences

THREADS, SHOWN, SALTS = 16, 3, 8


def digests(names: Iterable[Any], salt: int = 0) -> NDArray[np.uint64]:
    """(N,) uint64 of N ids."""
    key = salt.to_bytes(2, "big")
    raw = b"".join(
        blake2b(str(name).encode("utf-8", "surrogatepass"), digest_size=8, key=key).digest() for name in names
    )
    return np.frombuffer(raw, ">u8").astype(np.uint64)


def drop_done(batch: Any, done: Any, salt: int) -> Any:
    """The rows of a batch that are not done."""
    import ray

    known = ray.get(done) if isinstance(done, ray.ObjectRef) else done
    mine = digests(batch["id"].to_pylist(), salt)
    place = np.minimum(np.searchsorted(known, mine), len(known) - 1)
    return batch.filter(pa.array(known[place] != mine))


def check_ids(dataset: Any) -> tuple[NDArray[np.uint64], int]:
    """Sorted digests of a manifest's ids, and a salt with which no two ids share one: they stand for the ids then.

    Takes 8 bytes for each id. Raises InputError for ids that are there twice or are none.
    """
    for salt in range(SALTS):
        parts = [digests(_names(batch), salt) for batch in _id_batches(dataset)]
        every = np.concatenate([np.zeros(0, np.uint64), *parts])
        del parts
        every.sort()
        shared = set(every[1:][every[1:] == every[:-1]].tolist())
        if not shared:
            return every, salt
        twice = _given_twice(dataset, shared, salt)
        if twice:
            more = ", ..." if len(twice) > SHOWN else ""
            said = ", ".join(echo(name, 80) for name in twice[:SHOWN])
            raise InputError(f"{len(twice)} ids are there more than once: {said}{more}: expected each id once")
    raise InputError("the ids cannot be told apart by their digests")


def _id_batches(dataset: Any) -> Iterable[pa.Table]:
    return dataset.select_columns(["id"]).iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0)


def _names(batch: pa.Table) -> list[Any]:
    names = batch["id"].to_pylist()
    if any(name is None or name == "" for name in names):
        raise InputError("an image has no id: expected one in each row of the manifest")
    return names


def _given_twice(dataset: Any, shared: set[int], salt: int) -> list[str]:
    seen: set[str] = set()
    twice: dict[str, None] = {}
    for batch in _id_batches(dataset):
        names = [str(name) for name in _names(batch)]
        for name, digest in zip(names, digests(names, salt).tolist(), strict=True):
            if digest in shared:
                if name in seen:
                    twice[name] = None
                seen.add(name)
    return list(twice)


@dataclass
class Written:
    """Rows that lie in TARGET.

    Attributes:
        files: their files.
        digests: (N,) uint64 of the ids; failed: (N,) bool; place: (N,) int32, index of the file.
    """

    files: list[str]
    digests: NDArray[np.uint64]
    failed: NDArray[np.bool_]
    place: NDArray[np.int32]

    def done(self, retry: bool) -> NDArray[np.uint64]:
        """Sorted digests of the images that are not to be done again; retry: those that failed are."""
        return np.unique(self.digests[~self.failed] if retry else self.digests)


def read_written(target: str, about: Mapping[str, Any], salt: int) -> Written:
    """Ids and failures of all rows of TARGET. Raises InputError with the difference for rows of other settings."""
    files = store.list_files(store.join(target, rows.FOLDER), (".parquet",))

    def read(path: str) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
        with store.opened(path) as stream:
            file = pq.ParquetFile(stream)
            differences = list_differences(rows.read_about(file, path), dict(about))
            table = file.read(["id", "error"])
        if differences:
            raise InputError(
                f"{target} holds rows of other settings: give another --out: {'; '.join(map(str.strip, differences))}"
            )
        return digests(table["id"].to_pylist(), salt), np.array(table["error"].is_valid())

    with ThreadPoolExecutor(THREADS) as pool:
        parts = list(pool.map(read, files))
    place = [np.full(len(part), index, np.int32) for index, (part, _) in enumerate(parts)]
    return Written(
        files,
        np.concatenate([np.zeros(0, np.uint64), *(part for part, _ in parts)]),
        np.concatenate([np.zeros(0, bool), *(failed for _, failed in parts)]),
        np.concatenate([np.zeros(0, np.int32), *place]),
    )


def drop_repeated(written: Written) -> int:
    """Remove rows of images that have another one: a writer that was killed may have written before it was asked again.

    A row with a mask is kept before one with an error. Returns how many were removed.
    """
    order = np.lexsort((np.arange(len(written.digests)), written.failed, written.digests))
    ordered = written.digests[order]
    again = order[1:][ordered[1:] == ordered[:-1]]
    starts = np.searchsorted(written.place, np.arange(len(written.files)))
    for index in np.unique(written.place[again]):
        path = written.files[index]
        file = pq.ParquetFile(io.BytesIO(store.read(path)))
        table = file.read()
        drop = set((again[written.place[again] == index] - starts[index]).tolist())
        kept = [number for number in range(table.num_rows) if number not in drop]
        if kept:
            store.write(path, rows.to_bytes(table.take(kept), rows.read_about(file, path)))
        else:
            store.remove(path)
    return len(again)
