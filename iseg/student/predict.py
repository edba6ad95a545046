"""A student's labels for a picture: probabilities averaged over scales and mirrored views."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from iseg.data.items import Item
from iseg.data.read import read_pair
from iseg.errors import InputError
from iseg.evaluate.metrics import ConfusionMatrix
from iseg.student.network import Student

SMALLEST = 32  # pixels: no view is smaller


@torch.inference_mode()
def probabilities(student: Callable[[Tensor], Tensor], image: NDArray, scales: Sequence[float], flip: bool) -> Tensor:
    """A picture (H, W, 3) uint8 -> (C, H, W) float32, the mean of the softmax over all views; sums to 1 over C.

    Args:
        student: see `Student`.
        scales: factors on the picture's sides; flip: each view mirrored, too.
    """
    device = getattr(student, "mean", torch.empty(0)).device
    height, width = image.shape[:2]
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].to(device).float()
    total = None
    for scale in scales:
        size = tuple(max(SMALLEST, round(side * scale)) for side in (height, width))
        view = F.interpolate(pixels, size, mode="bilinear", align_corners=False, antialias=scale < 1)
        if flip:
            view = torch.cat([view, view.flip(3)])
        logits = F.interpolate(student(view).float(), (height, width), mode="bilinear", align_corners=False)
        each = logits.softmax(1)
        each = (each[0] + each[1].flip(2)) / 2 if flip else each[0]
        total = each if total is None else total + each
    if total is None:
        raise ValueError("probabilities needs at least one scale")
    return total / len(scales)


def score_student(
    student: Student, items: Iterable[Item], num_classes: int, scales: Sequence[float], flip: bool, show: bool = True
) -> ConfusionMatrix:
    """Pixel counts of a student over images with truth. Raises InputError for an image without, or not readable."""
    counts = ConfusionMatrix(num_classes)
    for item in tqdm(list(items), desc="validate", unit="image", leave=False, disable=None if show else True):
        image, truth = read_pair(item, num_classes)
        if truth is None:
            raise InputError(f"{item.name} has no truth mask: a student is scored on images with one")
        counts.update(truth, probabilities(student, image, scales, flip).argmax(0))
    return counts
