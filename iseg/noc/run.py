"""A run of the simulated user over a data set: one record per image is the checkpoint, the report comes of them."""

import json
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from iseg.cutout import FOR_MARKOV
from iseg.data.items import Item
from iseg.errors import InputError, echo
from iseg.evaluate import outputs
from iseg.evaluate.report import sum_up
from iseg.evaluate.signals import finish_first
from iseg.files.claim import FolderLock, claim
from iseg.files.export import write_json
from iseg.markov.colours import BINS
from iseg.noc.objects import find_images, read_objects
from iseg.noc.play import Played, decision, play
from iseg.noc.protocol import Protocol, clicks_needed
from iseg.noc.report import noc_table, read_results, summarize, write_report
from iseg.pipeline import ISeg
from iseg.recipe import Recipe
from iseg.shards import in_shard
from iseg.work.trouble import Failure, made_or_failure

CONFIG = "config.yaml"
RECORDS = "records"


@dataclass(frozen=True)
class ClickRun:
    """Settings of a run.

    Attributes:
        data: one of `SETS`; root: its folder; masks: for folder, the folder of label PNGs.
        recipe: of the pass and of all decisions.
        decisions: of `DECISIONS`: played side by side on the same pass; the progress bar tells the first one's NoC.
        model, backbone, device, dtype, vae, size: see `ISeg.from_pretrained`.
        out: folder of the results.
        protocol: of the clicks. whole: never end early.
        pieces: objects are connected pieces of ids, at least this share of the image; see `read_objects`.
        limit: only the first images. shard: (I, N), only that share of them.
    """

    data: str
    root: Path
    recipe: Recipe
    decisions: tuple[str, ...]
    model: str
    out: Path
    masks: Path | None = None
    protocol: Protocol = "ritm"
    whole: bool = False
    pieces: float | None = None
    backbone: str | None = None
    device: str = "auto"
    dtype: str = "auto"
    vae: str | None = None
    size: int | None = None
    limit: int | None = None
    shard: tuple[int, int] = (1, 1)

    def record(self, name: str) -> Path:
        """The record of an image."""
        return self.out / RECORDS / f"{name}.json"


def run_clicks(run: ClickRun) -> int:
    """Play what has no record yet, then report on all records. Returns the exit code: 1 if some image failed.

    Raises InputError for data, model or folder that cannot be used, and Ended when a signal came, after the image at
    hand was recorded.
    """
    items = find_images(run.data, run.root, run.masks, run.protocol)[: run.limit]
    mine = [item for item in items if in_shard(item.name, *run.shard)]
    with ExitStack() as held:
        held.callback(hold(run, items).close)
        missing = [item for item in mine if not run.record(item.name).is_file()]
        if len(missing) < len(mine):
            print(f"{len(mine) - len(missing)} of {len(mine)} images were played before with the same settings: kept")
        failures = _play_all(run, missing) if missing else {}
        _report(run, items, failures)
    return sum_up(failures, len(mine))


def hold(run: ClickRun, items: list[Item]) -> FolderLock:
    """Write OUT/config.yaml, or take up an earlier run with the same settings. InputError with the difference."""
    precision = outputs.precision(run.model, run.backbone, run.dtype, run.device)
    depends: dict[str, Any] = {
        "data": run.data,
        "protocol": run.protocol,
        "whole": run.whole,
        "pieces": run.pieces,
        "decisions": list(run.decisions),
        "recipe": {key: value for key, value in asdict(run.recipe).items() if key not in ("click_decision", "outline")},
        "cut": {**asdict(FOR_MARKOV), "bins": BINS} if "cut" in run.decisions else None,
        "dtype": run.dtype,
        "weights_sha256": outputs.weights_digest(run.model, run.backbone, precision),
        "backbone": outputs.row_name(run.model, run.backbone),
        "vae": outputs.folder_digest(run.vae),
        "size": run.size,
    }
    how = {
        "model": run.model,
        "root": str(run.root),
        "masks": None if run.masks is None else str(run.masks),
        "device": run.device,
        "precision": precision,
        "limit": run.limit,
        "shard": list(run.shard),
    }

    def names() -> list[str]:
        return sorted(path.stem for path in (run.out / RECORDS).glob("*.json"))

    lock = claim(run.out / CONFIG, depends, how, lambda: len(names()), RECORDS, {"dtype": "precision"})[0]
    left = names()
    known = {item.name for item in items}
    if left and run.limit is None and not known & set(left):
        lock.close()
        raise InputError(f"{run.out} holds records of another data set, e.g. of {echo(left[0])}: give another --out")
    return lock


def _play_all(run: ClickRun, items: list[Item]) -> dict[str, str]:
    """Record images. Returns {image: reason} of those that cannot be used."""
    seg = ISeg.from_pretrained(run.model, run.recipe, run.device, run.dtype, run.backbone, run.vae, run.size)
    failures: dict[str, str] = {}
    needed: list[int] = []
    with finish_first() as asked, tqdm(items, desc="clicks", unit="image", disable=None) as bar:
        for item in bar:
            record = made_or_failure(partial(_play_image, run, seg, item))
            if isinstance(record, Failure):
                failures[item.name] = record.reason
            else:
                write_json(run.record(item.name), record)
                lead = [each for each in read_results(item.name, record) if each.decision == run.decisions[0]]
                needed += [clicks_needed(each.ious, 0.90) for each in lead]
                if needed:
                    bar.set_postfix({"NoC@90": f"{sum(needed) / len(needed):.2f}"})
            if asked.number:
                break
    asked.obey()
    return failures


def _play_image(run: ClickRun, seg: ISeg, item: Item) -> dict[str, Any]:
    """The record of an image: of each object the clicks (x, y, 1 or 0) of every decision, and the IoU after each."""
    image, truths = read_objects(run.data, item, run.protocol, run.pieces)
    state = seg.set_image(image)

    def attempt() -> list[dict[str, Any]]:
        attended = seg.attend_image(state, seg.recipe)
        return [
            {
                "id": number,
                "pixels": int(truth.region.sum()),
                "decisions": {
                    name: _plain(play(truth, decision(attended, seg.recipe, name), run.protocol, run.whole))
                    for name in run.decisions
                },
            }
            for number, truth in truths.items()
        ]

    return {"image": item.image.name, "size": list(state.size), "objects": seg.finite(state, attempt)}


def _plain(played: Played) -> dict[str, Any]:
    return {"clicks": [[int(x), int(y), int(inside)] for x, y, inside in played.clicks], "ious": played.ious}


def _report(run: ClickRun, items: list[Item], failures: dict[str, str]) -> None:
    """Write and print the figures of all records there are, those of other shards too."""
    results = []
    done = 0
    for item in items:
        if run.record(item.name).is_file():
            done += 1
            results += read_results(item.name, json.loads(run.record(item.name).read_text(encoding="utf-8")))
    if not results:
        print("no image has a record yet" if not done else f"{done} images were played, and none shows an object")
        return
    content: dict[str, Any] = {
        "data": run.data,
        "protocol": run.protocol,
        "whole": run.whole,
        "pieces": run.pieces,
        "images": done,
        "of_images": len(items),
        "failures": failures,
        "decisions": summarize(results),
    }
    write_report(run.out, content, results)
    print(noc_table(content))
    print(f"results: {run.out}")
