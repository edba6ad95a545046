"""A training: its data, its processes, its folder."""

import logging
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs

from iseg.data import open_items
from iseg.data.classes import load_classes
from iseg.data.items import Item
from iseg.errors import InputError
from iseg.evaluate.config import Data
from iseg.evaluate.outputs import digest
from iseg.evaluate.trouble import logged
from iseg.files.claim import claim
from iseg.student.checkpoint import NUMBERS
from iseg.student.pictures import Lesson, Pictures, lessons
from iseg.student.settings import Training
from iseg.student.trainer import Trainer

WAIT = timedelta(hours=6)  # the others wait while one validates


def train(training: Training) -> int:
    """Train, going on from OUT/checkpoint where there is one; write OUT/best, OUT/last, results.json, curves.png.

    Under `accelerate launch` every batch is dealt to the processes. Returns 0.

    Raises InputError for settings, data or masks that cannot be used, and where OUT holds a training of others.
    """
    accelerator = make_accelerator(training)
    classes = load_classes(training.data.classes)
    found = open_split(training.data)[: training.limit]
    what = lessons(found, Path(training.masks) if training.masks else None, training.missing)
    val = open_split(training.val)
    confidence = Path(training.confidence) if training.confidence else None
    pictures = Pictures(what, len(classes) + 1, training.augment, training.seed, confidence)
    pictures.check(training.readers, accelerator.is_main_process)
    out = Path(training.out)
    how = {key: getattr(training, key) for key in ("masks", "confidence", "readers", "precision")}
    decides = training.decides() | {
        "classes": [entry.name for entry in classes],
        "inputs_sha256": inputs(what, confidence),
    }
    lock, _ = claim(
        out / "config.yaml", decides, how, lambda: int((out / "checkpoint" / NUMBERS).is_file()), "a training"
    )
    with lock, logged(out):
        trainer = Trainer(training, accelerator, pictures, val, classes)
        trainer.run()
        if accelerator.is_main_process:
            trainer.conclude()
        accelerator.wait_for_everyone()
    return 0


def open_split(data: Data) -> list[Item]:
    """The images of a split."""
    return open_items(data.kind, data.split, data.root, data.truth, data.background)


def inputs(what: Sequence[Lesson], confidence: Path | None) -> str:
    """SHA-256 of the masks and weights that are learnt."""
    paths = [lesson.item.label for lesson in what if lesson.item.label]
    if confidence is not None:
        paths += [confidence / f"{lesson.item.name}.png" for lesson in what]
    return digest(*paths)


def make_accelerator(training: Training) -> Accelerator:
    """Processes, device and precision of a training."""
    logging.getLogger("accelerate").setLevel(logging.ERROR)
    cpu = training.device == "cpu" or not torch.cuda.is_available()
    precision = training.precision
    if precision == "auto":
        precision = "float32" if cpu else "bfloat16" if torch.cuda.is_bf16_supported() else "float16"
    if cpu and precision == "float16":
        raise InputError("precision float16 needs a GPU: expected auto, float32 or bfloat16 on the CPU")
    mixed = {"float32": "no", "float16": "fp16", "bfloat16": "bf16"}[precision]
    unused = DistributedDataParallelKwargs(find_unused_parameters=training.model != "scratch")
    return Accelerator(mixed_precision=mixed, cpu=cpu, kwargs_handlers=[InitProcessGroupKwargs(timeout=WAIT), unused])
