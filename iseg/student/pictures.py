"""Training pictures by number: what number n shows is decided by the seed and n, however many processes share them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from iseg.ahead import read_ahead
from iseg.data.items import Item
from iseg.data.read import read_label, read_stored, read_truth
from iseg.errors import InputError
from iseg.files.images import decoding, read_image
from iseg.student.augment import augment
from iseg.student.settings import Augmentation
from iseg.work.attempt import reason
from iseg.work.trouble import UNREADABLE

WHOLE_WEIGHT = 255  # a pixel that counts fully
SHOWN_NAMES = 3


@dataclass(frozen=True)
class Lesson:
    """A training image and the mask that is learnt.

    Attributes:
        item: its label is the mask.
        upright: whether the mask fits the image turned upright, as a run without truth makes it, or as it is stored.
    """

    item: Item
    upright: bool = False

    def read(self, num_classes: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Image (H, W, 3) and labels (H, W). InputError if either cannot be used or their sizes differ."""
        label = read_truth(self.item, num_classes)
        image = read_image(self.item.image) if self.upright else read_stored(self.item.image)
        if image.shape[:2] != label.shape:
            raise InputError(f"{self.item.label}: is {_size(label)}, its image {self.item.image.name} {_size(image)}: "
                             "expected a mask of the image's size")  # fmt: skip
        return image, label


def lessons(items: Sequence[Item], masks: Path | None, missing: str = "error") -> list[Lesson]:
    """What is learnt: MASKS/NAME.png of every image, or without a folder its truth.

    missing: "skip" leaves images without a mask out, "error" raises InputError naming some.
    """
    if masks is None:
        without = [item.name for item in items if item.label is None]
        if without:
            raise InputError(f"{without[0]} has no truth mask to learn from: give masks, the folder of a run's masks")
        return [Lesson(item) for item in items]
    if not masks.is_dir():
        raise InputError(f"{masks}: no such folder: expected the masks of a run, NAME.png for every training image")
    found = [item for item in items if (masks / f"{item.name}.png").is_file()]
    names = [item.name for item in items if not (masks / f"{item.name}.png").is_file()]
    if names and (missing == "error" or not found):
        shown = ", ".join(names[:SHOWN_NAMES]) + (", ..." if len(names) > SHOWN_NAMES else "")
        raise InputError(f"{masks}: {len(names)} of {len(items)} training images have no mask ({shown}): segment them "
                         "first, or leave them out with --missing skip")  # fmt: skip
    return [Lesson(Item(item.name, item.image, masks / f"{item.name}.png"), item.label is None) for item in found]


class Pictures:
    """Augmented training pictures.

    Args:
        what: images with the masks that are learnt.
        num_classes: labels are 0 .. num_classes - 1 and 255.
        settings: how they are changed.
        seed: of order and changes.
        confidence: folder of NAME.png, grey: the pixels' weights; None = all the same.
    """

    def __init__(
        self,
        what: Sequence[Lesson],
        num_classes: int,
        settings: Augmentation,
        seed: int,
        confidence: Path | None = None,
    ) -> None:
        self.lessons, self.num_classes, self.settings = list(what), num_classes, settings
        self.seed, self.confidence = seed, confidence

    def lesson(self, number: int) -> Lesson:
        """What number n shows: every epoch goes through all images, in an order of its own."""
        epoch, position = divmod(number, len(self.lessons))
        return self.lessons[_order(self.seed, epoch, len(self.lessons))[position]]

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor, Tensor]:
        """Picture (3, S, S) uint8, labels (S, S) int64 and weights (S, S) float32 in [0, 1] of number n.

        Raises InputError naming the file for a mask of another size, an unknown label, or what cannot be read.
        """
        lesson = self.lesson(number)
        image, label = lesson.read(self.num_classes)
        weight = self.weights(lesson.item, label.shape)
        image, label, weight = augment(
            (image, label, weight), self.settings, np.random.default_rng([self.seed, 1, number])
        )
        pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)
        return pixels, torch.from_numpy(label).long(), torch.from_numpy(weight).float() / WHOLE_WEIGHT

    def batch(self, numbers: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
        """Several of them, stacked."""
        pixels, labels, weights = zip(*(self[number] for number in numbers), strict=True)
        return torch.stack(pixels), torch.stack(labels), torch.stack(weights)

    def weights(self, item: Item, size: tuple[int, ...]) -> NDArray[np.uint8]:
        """The weights (H, W) of an image's pixels, 255 = fully."""
        if self.confidence is None:
            return np.full(size, WHOLE_WEIGHT, np.uint8)
        path = self.confidence / f"{item.name}.png"
        with decoding(path), Image.open(path) as opened:
            weights = np.asarray(opened.convert("L"))
        if weights.shape != size:
            raise InputError(f"{path}: is {_size(weights)}, its mask {size[1]}x{size[0]}: expected one size")
        return weights

    def check(self, readers: int, show: bool) -> None:
        """Look at every mask before hours are spent. Raises InputError with the first one that cannot be learnt."""

        def attempt(lesson: Lesson) -> str | None:
            try:
                check_size(lesson, read_label(lesson.item.label or Path(), self.num_classes).shape)
                if self.confidence is not None and not (self.confidence / f"{lesson.item.name}.png").is_file():
                    raise InputError(f"{self.confidence}: has no {lesson.item.name}.png")
            except UNREADABLE as error:
                return reason(error)
            return None

        outcomes = read_ahead(attempt, self.lessons, readers)
        bar = tqdm(outcomes, total=len(self.lessons), desc="check", unit="mask", disable=None if show else True)
        wrong = [line for line in bar if line is not None]
        if wrong:
            more = f" (and {len(wrong) - 1} more like it)" if len(wrong) > 1 else ""
            raise InputError(f"{wrong[0]}{more}")


def check_size(lesson: Lesson, size: tuple[int, ...]) -> None:
    """Raises InputError where a mask of size (H, W) does not fit its image; only the image's header is read."""
    path = lesson.item.image
    with decoding(path), Image.open(path) as opened:
        width, height = opened.size
        turned = lesson.upright and opened.getexif().get(0x0112, 1) >= 5  # EXIF: stored on its side
    if turned:
        width, height = height, width
    if (height, width) != tuple(size):
        raise InputError(f"{lesson.item.label}: is {size[1]}x{size[0]}, its image {path.name} {width}x{height}: "
                         "expected a mask of the image's size")  # fmt: skip


def share(first: int, steps: int, batch_size: int, process: int = 0, processes: int = 1) -> Iterator[list[int]]:
    """The numbers of every update from `first` on that a process works on.

    Update s shows the numbers s * batch_size .. (s + 1) * batch_size - 1; process p of n has every n-th of them.
    """
    for step in range(first, steps):
        yield list(range(step * batch_size + process, (step + 1) * batch_size, processes))


@lru_cache(maxsize=4)  # threads are at most two epochs apart
def _order(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, 0, epoch]).permutation(count)


def _size(array: NDArray) -> str:
    """Width x height."""
    return f"{array.shape[1]}x{array.shape[0]}"
