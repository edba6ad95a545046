"""FiftyOne: a model for `dataset.apply_model(model, label_field="iseg")`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iseg.errors import InputError, echo
from iseg.extras import import_extra
from iseg.integrations.models import load_model

labels = import_extra("fiftyone.core.labels", "fiftyone", "FiftyOne")
Model: Any = import_extra("fiftyone.core.models", "fiftyone", "FiftyOne").Model

OUTPUTS = ("detections", "segmentation")


class WordModel(Model):
    """Segments each image by the same words.

    Args:
        classes: the words.
        output: "detections": an instance mask, a box and a confidence (the mean score) for each word that has a pixel;
            "segmentation": one mask of labels, 0 = background, k + 1 = k-th word.
        model, recipe, device, dtype: see `load_model`.
    """

    media_type = "image"
    ragged_batches = True
    transforms = None
    preprocess = False
    config = None

    def __init__(
        self,
        classes: Sequence[str],
        output: str = "detections",
        model: str | None = None,
        recipe: str | None = None,
        device: str = "auto",
        dtype: str = "auto",
    ) -> None:
        if output not in OUTPUTS:
            raise InputError(f"output is {echo(output)}: expected one of {', '.join(OUTPUTS)}")
        self.classes, self.output = list(classes), output
        self.model = load_model(model, recipe, device, dtype)

    @property
    def mask_targets(self) -> dict[int, str]:
        """The words of a segmentation's values, for `dataset.mask_targets`."""
        return dict(enumerate(self.classes, 1))

    def predict(self, arg: NDArray[np.uint8]) -> Any:
        """An image (H, W, 3) uint8 RGB -> `fiftyone.Detections` or `fiftyone.Segmentation`."""
        result = self.model.segment(self.classes, image=self.model.set_image(arg))
        if self.output == "segmentation":
            return labels.Segmentation(mask=result.mask)
        found = [
            labels.Detection.from_mask(region, label=self.classes[k], confidence=score)
            for k, region, score in result.each_found()
        ]
        return labels.Detections(detections=found)
