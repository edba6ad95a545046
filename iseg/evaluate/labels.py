"""Which classes each image of a run is asked for: those of a file of labels, or those of its truth mask."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from iseg.data.classes import LabelClass
from iseg.data.items import Item
from iseg.data.labels import present
from iseg.errors import InputError
from iseg.evaluate.outputs import Outputs


class RunLabels:
    """The labels of a run's images.

    Args:
        classes: the data set's classes.
        by_image: {image: class ids} of a file; None takes the classes present in the truth.
        reasons: {image: why it has no labels}, for images that lack in `by_image`.
    """

    def __init__(
        self,
        classes: Sequence[LabelClass],
        by_image: Mapping[str, list[int]] | None,
        reasons: Mapping[str, str] | None = None,
    ) -> None:
        self.classes = {entry.id: entry for entry in classes}
        self.by_image, self.reasons = by_image, reasons or {}

    def names(self, ids: Sequence[int]) -> list[str]:
        """Names of class ids."""
        return [self.classes[index].name for index in ids]

    def finished(self, item: Item, folders: Sequence[Outputs]) -> bool:
        """Whether all of an image was saved, with the labels that a file gives it now."""
        if self.by_image is None:
            return all(folder.finished(item.name) for folder in folders)
        if item.name not in self.by_image:
            return False
        names = self.names(self.by_image[item.name])
        return all(folder.finished(item.name, names) for folder in folders)

    def changed(self, item: Item, folders: Sequence[Outputs]) -> bool:
        """Whether an image was segmented with other labels than a file gives it now."""
        if self.by_image is None or item.name not in self.by_image:
            return False
        asked = [folder.asked(item.name) for folder in folders]
        names = self.names(self.by_image[item.name])
        return any(labels is not None and labels != names for labels in asked)

    def ids(self, item: Item, truth: NDArray[np.uint8] | None) -> list[int] | None:
        """Classes to ask for; None for an image to skip. A file of labels may give an image no class at all.

        Raises InputError for an image without labels.
        """
        if self.by_image is not None:
            if item.name not in self.by_image:
                raise InputError(self.reasons.get(item.name, f"{item.name} is not in the file of image-level labels"))
            return self.by_image[item.name]
        if truth is None:
            raise InputError(f"{item.name} has no truth mask to take its classes from: give data.labels")
        return present(truth) or None
