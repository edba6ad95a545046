"""The data-set runner: one process's share of the images, tolerant of single bad ones."""

from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from iseg.data.classes import LabelClass
from iseg.data.items import Item
from iseg.data.labels import present
from iseg.data.read import read_pair
from iseg.errors import InputError
from iseg.evaluate.ahead import read_ahead
from iseg.evaluate.config import Variant
from iseg.evaluate.metrics import ConfusionMatrix
from iseg.evaluate.outputs import Outputs
from iseg.pipeline import ISeg
from iseg.results import Segmentation
from iseg.solve import solve

STOP_AFTER = 10  # failures to write in a row: the disk will not take the next one either


@dataclass
class Loaded:
    """An item with its image (H, W, 3) uint8, truth (H, W) or None, and the ids of the classes asked for.

    squares: {way of resizing: (3, S, S) float32 in [0, 1]}, the image as the encoder takes it.
    """

    item: Item
    image: NDArray[np.uint8]
    truth: NDArray[np.uint8] | None
    class_ids: list[int]
    squares: dict[str, Tensor] = field(default_factory=dict)

    @property
    def size(self) -> tuple[int, ...]:
        return self.image.shape[:2]


@dataclass
class Outcome:
    """What a run leaves beside its masks.

    Attributes:
        failures: {image: reason}.
        skipped: images whose truth has nothing but background.
        stopped: why the run ended early, or None.
    """

    failures: dict[str, str] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    stopped: str | None = None


class Runner:
    """Makes and saves masks.

    Args:
        seg: the loaded model.
        classes: the data set's classes.
        labels: image-level labels {name: class ids}; None takes the classes present in the truth.
        outputs: the variants and the folder of each. Variants that differ only after the UNet share its pass.
        readers: threads that read ahead.
    """

    def __init__(
        self,
        seg: ISeg,
        classes: Sequence[LabelClass],
        labels: dict[str, list[int]] | None,
        outputs: Sequence[tuple[Variant, Outputs]],
        readers: int,
    ) -> None:
        self.seg, self.labels, self.outputs, self.readers = seg, labels, outputs, readers
        self.classes = {entry.id: entry for entry in classes}
        self.running = ConfusionMatrix(len(classes) + 1)  # of the last variant, over the images of this run
        self.outcome = Outcome()
        self.groups: dict[str, list[tuple[Variant, Outputs]]] = defaultdict(list)
        for variant, folder in outputs:
            self.groups[variant.recipe.pass_key(["any"])].append((variant, folder))
        self._writes: list[tuple[str, Future[None]]] = []
        self._failed_writes = 0

    def run(self, batches: Sequence[Sequence[Item]], show: bool) -> Outcome:
        """Work through batches of items; a batch is computed whole if any of its masks is missing.

        Batches stay as they were cut, so that an interrupted run repeats what an uninterrupted one computes.
        """
        total = sum(map(len, batches))
        with (
            ThreadPoolExecutor(1) as writer,
            tqdm(total=total, desc="segment", unit="image", disable=None if show else True) as bar,
        ):
            for loaded, size in read_ahead(self._load, batches, self.readers):
                self._segment(loaded, writer)
                bar.update(size)
                if not np.isnan(self.running.mean_iou()):
                    bar.set_postfix(mIoU=f"{100 * self.running.mean_iou():.1f}")
                if self.outcome.stopped:
                    break
            self._finish_writes()
        return self.outcome

    def _finished(self, item: Item) -> bool:
        return all(folder.finished(item.name) for _, folder in self.outputs)

    def _load(self, batch: Sequence[Item]) -> tuple[list[Loaded], int]:
        """What of a batch can be segmented (nothing if all of it was before), and the batch's size."""
        if all(map(self._finished, batch)):
            return [], len(batch)
        loaded = []
        for item in batch:
            try:
                image, truth = read_pair(item, len(self.classes) + 1)
                ids = self._class_ids(item, truth)
            except InputError as error:
                self.outcome.failures[item.name] = str(error)
                continue
            if ids is None:
                self.outcome.skipped.append(item.name)
            else:
                loaded.append(Loaded(item, image, truth, ids))
                if self.seg.backbone.device.type != "cpu":  # there the model needs all cores itself
                    self._resize(loaded[-1])
        return ([] if all(self._finished(one.item) for one in loaded) else loaded), len(batch)

    def _resize(self, one: Loaded) -> None:
        """Let an image have its square for every recipe."""
        for variant, _ in self.outputs:
            if variant.recipe.resize not in one.squares:
                one.squares[variant.recipe.resize] = self.seg.square(one.image, variant.recipe)

    def _class_ids(self, item: Item, truth: NDArray[np.uint8] | None) -> list[int] | None:
        """Classes to ask for; None for an image to skip. A file of labels may give an image no class at all."""
        if self.labels is not None:
            if item.name not in self.labels:
                raise InputError(f"{item.name} is not in the file of image-level labels")
            return self.labels[item.name]
        if truth is None:
            raise InputError(f"{item.name} has no truth mask to take its classes from: give data.labels")
        return present(truth) or None

    def _segment(self, loaded: list[Loaded], writer: ThreadPoolExecutor) -> None:
        """Segment a batch; where that fails, each of its images alone, so that only the bad one is lost."""
        try:
            named = [one for one in loaded if one.class_ids]
            for one in loaded:
                if not one.class_ids:
                    self._save_empty(one, writer)
            if named:
                self._segment_together(named, writer)
        except (InputError, RuntimeError) as error:
            if len(loaded) == 1:
                self.outcome.failures[loaded[0].item.name] = " ".join(str(error).split())
                return
            for one in loaded:
                self._segment([one], writer)

    def _segment_together(self, loaded: list[Loaded], writer: ThreadPoolExecutor) -> None:
        """Recipes that share a pass share it; those that share no more than the resized image share its latents."""
        sizes = [one.size for one in loaded]
        for one in loaded:
            self._resize(one)
        words = [[self.classes[index].word for index in one.class_ids] for one in loaded]
        latents: dict[str, Tensor] = {}
        for group in self.groups.values():
            recipe = group[0][0].recipe
            if recipe.resize not in latents:
                latents[recipe.resize] = self.seg.encode_squares([one.squares[recipe.resize] for one in loaded])
            attended = self.seg.attend_latents(latents[recipe.resize], words, sizes, recipe)
            self._finish_writes()
            for one, record in zip(loaded, attended, strict=True):
                for variant, folder in group:
                    self._save(one, folder, solve(record, variant.recipe, class_ids=one.class_ids), writer)

    def _save_empty(self, one: Loaded, writer: ThreadPoolExecutor) -> None:
        """An image whose labels name no class is background."""
        none = np.zeros((0, 1, 1), np.float32)
        for _, folder in self.outputs:
            self._save(one, folder, Segmentation(np.zeros(one.size, np.uint8), [], none, none), writer)

    def _save(self, one: Loaded, folder: Outputs, result: Segmentation, writer: ThreadPoolExecutor) -> None:
        """Count and write in the background, while the model works on the next batch."""

        def finish() -> None:
            if one.truth is not None and folder is self.outputs[-1][1]:
                self.running.update(one.truth, result.mask)
            folder.save(one.item.name, result, [self.classes[index].name for index in one.class_ids])

        self._writes.append((one.item.name, writer.submit(finish)))

    def _finish_writes(self) -> None:
        for name, write in self._writes:
            try:
                write.result()
                self._failed_writes = 0
            except InputError as error:
                self._failed_writes += 1
                self.outcome.failures[name] = str(error)
                if self._failed_writes == STOP_AFTER:
                    self.outcome.stopped = f"stopped: {STOP_AFTER} masks in a row could not be written: {error}"
        self._writes.clear()
