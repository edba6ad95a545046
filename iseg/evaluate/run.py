"""The data-set runner: one process's share of the images, tolerant of single bad ones."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from torch import Tensor
from tqdm import tqdm

from iseg.ahead import read_ahead
from iseg.data.classes import LabelClass
from iseg.data.items import Item
from iseg.evaluate.config import Variant
from iseg.evaluate.labels import RunLabels
from iseg.evaluate.loading import Loaded, Loader, Outcome
from iseg.evaluate.metrics import ConfusionMatrix
from iseg.evaluate.outputs import Outputs
from iseg.evaluate.signals import finish_first
from iseg.pipeline import ISeg
from iseg.results import Segmentation
from iseg.solve import solve
from iseg.work.trouble import MOST_IN_A_ROW, Failure, InARow, made_or_failure
from iseg.work.worker import Worker


class Runner:
    """Makes and saves masks.

    Args:
        seg: the loaded model.
        classes: the data set's classes.
        labels: image-level labels {name: class ids}; None takes the classes present in the truth.
        outputs: the variants and the folder of each. Variants that differ only after the UNet share its pass.
        readers: threads that read ahead.
        unlabelled: {name: why it has no labels}.
    """

    def __init__(
        self,
        seg: ISeg,
        classes: Sequence[LabelClass],
        labels: Mapping[str, list[int]] | None,
        outputs: Sequence[tuple[Variant, Outputs]],
        readers: int,
        unlabelled: Mapping[str, str] | None = None,
    ) -> None:
        self.seg, self.outputs, self.readers = seg, outputs, readers
        self.labels = RunLabels(classes, labels, unlabelled)
        self.folders = [folder for _, folder in outputs]
        self.running = ConfusionMatrix(len(classes) + 1)  # of the last variant, over the images of this run
        self.outcome = Outcome()
        self.loader = Loader(seg, self.labels, outputs, self.outcome)
        self.groups: dict[str, list[tuple[Variant, Outputs]]] = defaultdict(list)
        for variant, folder in outputs:
            self.groups[variant.recipe.pass_key(["any"])].append((variant, folder))
        self._writes: list[tuple[str, Future[None]]] = []
        self._failed_writes = InARow()

    def run(self, batches: Sequence[Sequence[Item]], show: bool) -> Outcome:
        """Work through batches of items; a batch is computed whole if any of its masks is missing.

        Batches stay as they were cut, so that an interrupted run repeats what an uninterrupted one computes.

        Raises Ended when a signal came, after the batch at hand was saved. What is not an image's trouble is raised.
        """
        total = sum(map(len, batches))
        with (
            ThreadPoolExecutor(1) as writer,
            tqdm(total=total, desc="segment", unit="image", disable=None if show else True) as bar,
            finish_first(show) as asked,
        ):
            worker = Worker[Loaded, None](lambda: self.seg, lambda _, loaded: self._make(loaded, writer))
            for loaded, size in read_ahead(self.loader.load, batches, self.readers):
                for one, made in worker.each(loaded):
                    if isinstance(made, Failure):
                        self.outcome.failures[one.item.name] = made.reason
                bar.update(size)
                if not np.isnan(self.running.mean_iou()):
                    bar.set_postfix(mIoU=f"{100 * self.running.mean_iou():.1f}")
                if self.outcome.stopped or asked.number:
                    break
            self._finish_writes()
        asked.obey()
        return self.outcome

    def _make(self, loaded: Sequence[Loaded], writer: ThreadPoolExecutor) -> Sequence[None]:
        """Segment images at once and give the masks to the writer."""
        named = [one for one in loaded if one.class_ids]
        for one in loaded:
            if not one.class_ids:
                self._save_empty(one, writer)
        if named:
            self._segment_together(named, writer)
        return [None for _ in loaded]

    def _segment_together(self, loaded: list[Loaded], writer: ThreadPoolExecutor) -> None:
        """Recipes that share a pass share it; those that share no more than the resized image share its latents."""
        sizes = [one.size for one in loaded]
        for one in loaded:
            self.loader.resize(one)
        words = [[self.labels.classes[index].word for index in one.class_ids] for one in loaded]
        latents: dict[str, Tensor] = {}
        for group in self.groups.values():
            recipe = group[0][0].recipe
            if recipe.resize not in latents:
                latents[recipe.resize] = self.seg.encode_squares([one.squares[recipe.resize] for one in loaded])
            attended = self.seg.attend_latents(latents[recipe.resize], words, sizes, recipe)
            self._finish_writes()
            for one, record in zip(loaded, attended, strict=True):
                record.picture = one.image
                for variant, folder in group:
                    self._save(one, folder, solve(record, variant.recipe, class_ids=one.class_ids), writer)

    def _save_empty(self, one: Loaded, writer: ThreadPoolExecutor) -> None:
        """An image whose labels name no class is background."""
        none = np.zeros((0, 1, 1), np.float32)
        for folder in self.folders:
            self._save(one, folder, Segmentation(np.zeros(one.size, np.uint8), [], none, none), writer)

    def _save(
        self,
        one: Loaded,
        folder: Outputs,
        result: Segmentation,
        writer: ThreadPoolExecutor,
        found: Sequence[str] | None = None,
    ) -> None:
        """Count and write in the background, while the model works on the next batch; what is there is kept.

        found: names of the result's classes, where they are not all that the image was asked for.
        """
        names, from_file = self.labels.names(one.class_ids), self.labels.by_image is not None

        def finish() -> None:
            if one.truth is not None and folder is self.folders[-1]:
                self.running.update(one.truth, result.mask)
            if not folder.finished(one.item.name, names if from_file else None):
                folder.save(one.item.name, result, names if found is None else found, names if from_file else None)

        self._writes.append((one.item.name, writer.submit(finish)))

    def _finish_writes(self) -> None:
        for name, write in self._writes:
            written = made_or_failure(write.result)
            if written is None:
                self._failed_writes.add(False)
                continue
            self.outcome.failures[name] = written.reason
            if not written.memory and self._failed_writes.add(True):
                self.outcome.stopped = f"stopped: {MOST_IN_A_ROW} masks in a row could not be written: {written.reason}"
        self._writes.clear()
