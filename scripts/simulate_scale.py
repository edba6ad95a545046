"""How long `iseg label` takes on 1 to 512 GPUs, and what holds it up: the job played through, row after row.

python -m scripts.simulate_scale                    # the table of docs/scale.md
python -m scripts.simulate_scale --gpu-seconds 0.05 --price 2.5 --store-rate 3500
python -m scripts.simulate_scale --measure          # decoding and encoding on this machine, in CPU seconds
python -m scripts.simulate_scale --check            # two actors played through, and a real run of them (needs Ray)
"""

import argparse
import heapq
import io
import math
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

GPUS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
IMAGES = (1_000_000, 100_000_000)
ROWS = 320  # images per actor that are played through
FASTER = 1.05  # what holds the job up is what makes it so much faster at least when it takes no time


@dataclass(frozen=True)
class Job:
    """What a job consists of; times in seconds.

    Attributes:
        gpu_seconds: of the model for an image.
        fetch_seconds: until the store has sent an image.
        decode_seconds: of a CPU for an image.
        readers: threads of an actor that read ahead; they look as far ahead as twice their number within a batch.
        cores: CPUs of each GPU.
        batch: rows handed to an actor at once.
        head_seconds: of the driver for each batch, one after another.
        store_rate: requests a second that the store answers; they are of reading alone.
        row_seconds: of a writer for a row.
        writers: of each GPU, as share of a CPU.
    """

    gpu_seconds: float = 0.1
    fetch_seconds: float = 0.06
    decode_seconds: float = 0.008
    readers: int = 4
    cores: float = 8.0
    batch: int = 16
    head_seconds: float = 0.01
    store_rate: float = 5500.0
    row_seconds: float = 0.002
    writers: float = 1.0


class Actor:
    """One actor: its batch at work, row after row.

    Attributes:
        left: images that it has still to do.
        free: when the model is done with all rows so far.
    """

    def __init__(self, job: Job, rows: int) -> None:
        self.job, self.left, self.free = job, rows, 0.0
        self._slower = max(1.0, job.readers / job.cores)  # threads that share CPUs decode that much more slowly
        self._threads: list[float] = []
        self._done: list[float] = []
        self.waiting = 0  # rows of the batch that are still to be asked for

    def begin(self, time: float) -> None:
        """Take up the next batch."""
        self.waiting = min(self.job.batch, self.left)
        self.left -= self.waiting
        self._threads, self._done, self.free = [time] * self.job.readers, [time], max(self.free, time)

    def next_fetch(self) -> float:
        """When the next row can be asked for: a thread is free, and the model not too far behind."""
        return max(self._threads[0], self._done[max(0, len(self._done) - 1 - 2 * self.job.readers)])

    def fetch(self, start: float) -> None:
        """Ask the store for the next row at `start`: read, decoded, and segmented when its turn comes."""
        ready = start + self.job.fetch_seconds + self.job.decode_seconds * self._slower
        heapq.heapreplace(self._threads, ready)
        self.free = max(self.free, ready) + self.job.gpu_seconds
        self._done.append(self.free)
        self.waiting -= 1


def play(job: Job, actors: int, rows: int = ROWS) -> float:
    """Rows per second of all actors together, each with `rows` images; what is asked for first is served first."""
    team = [Actor(job, rows) for _ in range(actors)]
    events = [(0.0, index) for index in range(actors)]
    driver = store = 0.0
    while events:
        time, index = heapq.heappop(events)
        actor = team[index]
        if not actor.waiting:
            if not actor.left:
                continue
            driver = max(driver, time) + job.head_seconds
            actor.begin(driver)
        elif time < store:
            heapq.heappush(events, (store, index))
            continue
        else:
            store = max(store, time) + 1 / job.store_rate
            actor.fetch(time)
        heapq.heappush(events, (actor.next_fetch() if actor.waiting else actor.free, index))
    writing = job.row_seconds * rows / job.writers  # writers keep up beside the actors, or they are what it takes
    return actors * rows / max(*(actor.free for actor in team), writing, 0.0)


def held_up_by(job: Job, actors: int, rate: float) -> str:
    """The part without whose time the job would be faster by most, or the GPUs if none matters."""
    without = {
        "reading": replace(job, fetch_seconds=0.0, decode_seconds=0.0),
        "driver": replace(job, head_seconds=0.0),
        "store": replace(job, store_rate=math.inf),
        "writing": replace(job, row_seconds=0.0),
    }
    gains = {part: play(freed, actors) / rate for part, freed in without.items()}
    best = max(gains, key=lambda part: gains[part])
    return best if gains[best] >= FASTER else "GPUs"


def table(job: Job, price: float, gpus: Sequence[int] = GPUS) -> str:
    """One line for each number of GPUs: rate, how busy the GPUs are, what holds them up, hours and price."""
    from iseg.evaluate.score import markdown

    lines = []
    for actors in gpus:
        rate = play(job, actors)
        hours = [images / rate / 3600 for images in IMAGES]
        costs = [f"{hour:,.1f} h, {hour * actors * price:,.0f}" for hour in hours]
        busy = f"{rate * job.gpu_seconds / actors:.0%}"
        lines.append((str(actors), f"{rate:,.1f}", busy, held_up_by(job, actors, rate), *costs))
    header = ("GPUs", "images / s", "busy", "held up by", *(f"{images:,} images: hours, price" for images in IMAGES))
    return markdown(header, lines)


def measure() -> str:
    """CPU seconds to decode a photo of 640 x 480 pixels and to encode its row, and the row's bytes."""
    import cv2
    from PIL import Image

    from iseg.files.images import read_image
    from iseg.label import rows
    from iseg.results import Segmentation

    row, column = np.mgrid[:480, :640]
    noise = np.random.default_rng(0).integers(0, 40, (480, 640, 3))
    picture = (np.stack([row / 3, column / 4, (row + column) / 8], -1) + noise).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=90)
    wave = 60 * np.sin(column / 40) + 240
    mask = ((row > wave) & (cv2.circle(np.zeros((480, 640), np.uint8), (320, 300), 200, 1, -1) > 0)).astype(np.uint8)
    maps = np.full((1, 64, 64), 1 / 4096, np.float32)
    result = Segmentation(mask, ["cat"], maps, maps)
    decode = cpu_seconds(lambda: read_image(Image.open(io.BytesIO(buffer.getvalue()))))
    encode = cpu_seconds(lambda: rows.encode("image-000000001", result, 0.1))
    import pyarrow as pa

    several = []
    for number in range(200):  # as unlike each other as masks are: rows that repeat would be stored once
        rolled = np.roll(mask, number * 3, 1) * (np.random.default_rng(number).random((480, 1)) > 0.2)
        several.append(
            rows.encode(f"image-{number:09d}", Segmentation(rolled.astype(np.uint8), ["cat"], maps, maps), 0.1)
        )
    size = len(rows.to_bytes(pa.Table.from_pylist(several, schema=rows.SCHEMA), {})) / len(several)
    return (
        f"decode {1000 * decode:.2f} ms of a {len(buffer.getvalue()) >> 10} KB JPEG, encode a row "
        f"{1000 * encode:.2f} ms, {size:.0f} bytes a row in a file of {len(several)}"
    )


def cpu_seconds(work: object, times: int = 30) -> float:
    """Median CPU seconds of this process for a call: other processes do not count."""
    taken = []
    for _ in range(times):
        begun = time.process_time()
        work()  # type: ignore[operator]
        taken.append(time.process_time() - begun)
    return float(np.median(taken))


def check(seconds: float = 0.25, count: int = 320) -> str:
    """Rows per second of two actors that only wait, played through and real: from the first file to the last."""
    from scripts.scale.null import label_nothing, write_manifest

    job = Job(gpu_seconds=seconds, fetch_seconds=0.0, decode_seconds=0.0, batch=8, head_seconds=0.01)
    with tempfile.TemporaryDirectory() as folder:
        manifest, out = write_manifest(Path(folder) / "manifest", count, seconds), Path(folder) / "out"
        label_nothing(manifest, out, actors=2, batch_size=8, rows_per_file=16)
        times = sorted(path.stat().st_mtime for path in (out / "rows").iterdir())
    real = 16 * (len(times) - 1) / (times[-1] - times[0])
    played = play(job, 2, count // 2)
    return f"two actors: {played:.2f} images a second played through, {real:.2f} in a real run ({real / played:.2f})"


def main() -> int:
    """Print what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--price", type=float, default=2.0, help="of a GPU for an hour, with its share of all else")
    parser.add_argument("--measure", action="store_true", help="decoding and encoding on this machine")
    parser.add_argument("--check", action="store_true", help="two actors, played through and real")
    for entry in fields(Job):
        parser.add_argument(f"--{entry.name.replace('_', '-')}", type=type(entry.default), default=entry.default)
    asked = parser.parse_args()
    job = replace(Job(), **{entry.name: getattr(asked, entry.name) for entry in fields(Job)})
    print(measure() if asked.measure else check() if asked.check else table(job, asked.price))
    return 0


if __name__ == "__main__":
    sys.exit(main())
