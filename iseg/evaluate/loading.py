"""Reading the images of a run, ahead of the model."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from iseg.data.items import Item
from iseg.data.read import read_pair
from iseg.evaluate.config import Variant
from iseg.evaluate.labels import RunLabels
from iseg.evaluate.outputs import Outputs
from iseg.pipeline import ISeg
from iseg.work.trouble import Failure, read_or_failure


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


class Loader:
    """Loads batches, from several threads at once; what cannot be loaded goes into the outcome.

    Args:
        seg: the model, which says how an image is resized.
        labels: which classes each image is asked for.
        outputs: the variants and the folder of each.
        outcome: of the run.
    """

    def __init__(
        self, seg: ISeg, labels: RunLabels, outputs: Sequence[tuple[Variant, Outputs]], outcome: Outcome
    ) -> None:
        self.seg, self.labels, self.outcome = seg, labels, outcome
        self.folders = [folder for _, folder in outputs]
        self.recipes = {variant.recipe.resize: variant.recipe for variant, _ in outputs}

    def load(self, batch: Sequence[Item]) -> tuple[list[Loaded], int]:
        """What of a batch can be segmented (nothing if all of it was before), and the batch's size."""
        if all(self.labels.finished(item, self.folders) for item in batch):
            return [], len(batch)
        loaded = []
        for item in batch:
            one = read_or_failure(partial(self._read, item))
            if isinstance(one, Failure):
                self.outcome.failures[item.name] = one.reason
            elif one is None:
                self.outcome.skipped.append(item.name)
            else:
                loaded.append(one)
        done = all(self.labels.finished(one.item, self.folders) for one in loaded)
        return ([] if done else loaded), len(batch)

    def _read(self, item: Item) -> Loaded | None:
        """An image with its truth and labels; None for one to skip."""
        image, truth = read_pair(item, len(self.labels.classes) + 1)
        ids = self.labels.ids(item, truth)
        if ids is None:
            return None
        one = Loaded(item, image, truth, ids)
        if self.seg.backbone.device.type != "cpu":  # there the model needs all cores itself
            self.resize(one)
        return one

    def resize(self, one: Loaded) -> None:
        """Let an image have its square for every recipe."""
        for way, recipe in self.recipes.items():
            if way not in one.squares:
                one.squares[way] = self.seg.square(one.image, recipe)
