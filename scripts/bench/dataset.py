"""A run over many images: seconds per image, how busy a GPU is, and what takes the time (the data-set runner)."""

import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from iseg import ISeg
from iseg.cli.check.machine import device_name
from iseg.data import open_items
from iseg.data.classes import load_classes
from iseg.data.items import Item
from iseg.errors import InputError
from iseg.evaluate.config import Evaluation, variants
from iseg.evaluate.outputs import Outputs
from iseg.evaluate.read_config import load_evaluation
from iseg.evaluate.run import Runner
from scripts.bench.case import Case, unet_of
from scripts.bench.peaks import kernel_seconds, profiled, synchronize
from scripts.train_tiny.make_set import make_set

SHOWN, SEED, SIZE = 12, 12, (375, 500)


def profile(images: int, case: Case) -> dict[str, Any]:
    """Run a configuration over `images` pictogram scenes, from JPEGs to saved PNGs; print and return what it took.

    The embedded model runs `configs/wsss/demo.yaml` (four variants of each mask), another one `wsss/voc`. One batch is
    not counted; then one run is timed, and another is seen by torch's profiler. A GPU's busy share is the time of all
    its kernels (overlaps once) as profiled over the seconds of the run that was not.
    """
    with tempfile.TemporaryDirectory() as scratch:
        make_set(Path(scratch) / "scenes", 2 * images, SEED, SIZE)  # half of them are the split `train`
        config = "wsss/demo" if case.backbone == "tiny" else "wsss/voc"
        settings: Evaluation = load_evaluation(
            ["--config", config, "--data.root", f"{scratch}/scenes", "--batch_size", str(case.batch)], "profile"
        )
        items = open_items("voc", "train", f"{scratch}/scenes", None)
        seg = ISeg.from_pretrained(case.model, settings.recipe, case.device, case.dtype, case.backbone, case.vae)
        if case.compile:
            unet_of(seg).compile()
        run(seg, settings, items[: case.batch], Path(scratch) / "first")
        start = time.perf_counter()
        run(seg, settings, items, Path(scratch) / "timed")
        seconds = time.perf_counter() - start
        device = seg.backbone.device
        recorded = profiled(lambda: run(seg, settings, items, Path(scratch) / "profiled"), device)
    cuda = device.type == "cuda"
    result = {
        "device": device_name(device),
        "images": images,
        "s / image": seconds / images,
        "busy": kernel_seconds(recorded) / seconds if cuda else None,
        "operators": shares(recorded.key_averages(), cuda),
    }
    show(result)
    return result


def run(seg: ISeg, settings: Evaluation, items: list[Item], out: Path) -> None:
    """Segment and save. Raises InputError with the first failure."""
    opened = [(variant, Outputs(out / variant.folder)) for variant in variants(replace(settings, out=str(out)))]
    for _, folder in opened:
        folder.open({}, {})
    runner = Runner(seg, load_classes(settings.data.classes), None, opened, settings.readers)
    step = settings.batch_size
    outcome = runner.run([items[start : start + step] for start in range(0, len(items), step)], show=True)
    synchronize(seg.backbone.device)
    for _, folder in opened:
        folder.close()
    for name, reason in outcome.failures.items():
        raise InputError(f"{name}: {reason}")


def shares(averages: Any, cuda: bool) -> dict[str, float]:
    """{operator: share of the operators' own time}, of the GPU's where there is one; the largest."""
    spent = {
        event.key: float(event.self_device_time_total if cuda else event.self_cpu_time_total) for event in averages
    }
    whole = sum(spent.values())
    return {name: spent[name] / whole for name in sorted(spent, key=lambda name: -spent[name])[:SHOWN]}


def show(result: dict[str, Any]) -> None:
    """Print the figures of `profile`."""
    busy = "" if result["busy"] is None else f", GPU busy {100 * result['busy']:.0f} % of the time"
    speed = f"{1000 * result['s / image']:.1f} ms an image from JPEG to PNG"
    print(f"on {result['device']}: {result['images']} images, {speed}{busy}")
    for name, share in result["operators"].items():
        print(f"{100 * share:5.1f} %  {name}")
