"""The actor of `iseg label`: reads the images of a batch ahead, segments them one by one, gives a row for each."""

import io
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from iseg.ahead import read_ahead
from iseg.cli.prompts import Prompt, parse_prompt
from iseg.cli.settings import Job
from iseg.cli.worker import ImageFailed, Worker
from iseg.errors import InputError, printable
from iseg.files.images import decoding, read_image
from iseg.label import rows, store
from iseg.label.source import PROMPTS
from iseg.work.trouble import MOST_IN_A_ROW, Failure, InARow, read_or_failure

READERS = 4


@dataclass
class Fetched:
    """An image that was read: its bytes and pixels (H, W, 3), or why it could not be."""

    data: bytes | None = None
    image: NDArray[np.uint8] | None = None
    error: str | None = None


class RowWorker(Protocol):
    """What an actor works with: `fetch` in threads, `row` one after another."""

    def fetch(self, row: Mapping[str, Any]) -> Fetched: ...

    def row(self, row: Mapping[str, Any], fetched: Fetched) -> dict[str, Any]: ...


class ImageRows:
    """Rows by the worker of `iseg segment`.

    Args:
        job: what to segment in every image; without a prompt each row has its own.
        base: where relative URIs start.
    """

    def __init__(self, job: Job, base: str) -> None:
        self.job, self.base = job, base
        self.worker = Worker(job)
        self._in_a_row = InARow()

    def fetch(self, row: Mapping[str, Any]) -> Fetched:
        """Read and decode; whatever is wrong with an image is told in its row."""
        uri = row["uri"]

        def read() -> Fetched:
            if not isinstance(uri, str) or not uri:
                raise InputError("has no uri")
            data = store.read(store.join(self.base, uri))
            with decoding(uri), Image.open(io.BytesIO(data)) as opened:
                return Fetched(data, read_image(opened))

        fetched = read_or_failure(read, Exception)  # stores raise what they like
        return Fetched(error=printable(fetched.of(str(uri)))) if isinstance(fetched, Failure) else fetched

    def row(self, row: Mapping[str, Any], fetched: Fetched) -> dict[str, Any]:
        """Segment. Raises InputError for what would stop every other image too."""
        name = str(row["id"])
        if fetched.image is None:
            return rows.empty(name, fetched.error)
        size = [int(side) for side in fetched.image.shape[:2]]
        begun = time.perf_counter()
        try:
            made = self.worker.result(str(row["uri"]), fetched.image, self._prompt(row))
        except InputError as error:
            return rows.empty(name, printable(error), size)
        except ImageFailed as error:
            if self._in_a_row.add(not error.own):
                raise InputError(f"{MOST_IN_A_ROW} images in a row failed for no fault of theirs: {error}") from None
            return rows.empty(name, printable(error), size)
        self._in_a_row.add(False)
        return rows.encode(name, made, time.perf_counter() - begun)

    def _prompt(self, row: Mapping[str, Any]) -> Prompt:
        own = {key: value for key in PROMPTS if (value := row.get(key)) is not None and value != "" and value != []}
        if own:
            return parse_prompt(own, option="")
        if self.job.prompt is None:
            raise InputError(
                f"{row['id']}: has no prompt: expected one of {', '.join(PROMPTS)} in its row, or --classes"
            )
        return self.job.prompt


class Labeller:
    """Batches of the manifest -> batches of rows. Ray makes one in each actor.

    Args:
        make: makes what segments a row, once in each actor.
        keep: whether the images' bytes go with the rows, in column `image`.
    """

    def __init__(self, make: Any, keep: bool) -> None:
        self.worker: RowWorker = make()
        self.keep = keep

    def __call__(self, batch: pa.Table) -> pa.Table:
        made = list(self._rows(batch.to_pylist()))
        schema = rows.SCHEMA.append(pa.field(rows.IMAGE, pa.binary())) if self.keep else rows.SCHEMA
        return pa.Table.from_pylist(made, schema=schema)

    def _rows(self, given: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        for row, fetched in zip(given, read_ahead(self.worker.fetch, given, READERS), strict=True):
            made = self.worker.row(row, fetched)
            if self.keep:
                made[rows.IMAGE] = fetched.data
            yield made
