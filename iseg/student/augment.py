"""Random changes of a training picture: scale, crop, flip, colour. Its mask and weights go along."""

import cv2
import numpy as np
from numpy.typing import NDArray

from iseg.data.items import IGNORE
from iseg.student.settings import Augmentation

GREY = (0.299, 0.587, 0.114)  # luminance of red, green, blue
MOST_PER_CLASS = 0.75  # share of a crop's pixels that one class may have, if another place can be found
TRIES = 5

Sample = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]


def augment(sample: Sample, settings: Augmentation, rng: np.random.Generator) -> Sample:
    """A picture (H, W, 3) uint8, its labels (H, W) uint8 and weights (H, W) uint8 -> the same of side `crop`.

    Pixels beyond the picture are black, labelled 255 and weigh 0.
    """
    image, label, weight = resized(sample, float(np.exp(rng.uniform(*np.log(settings.scale)))))
    image, label, weight = padded((image, label, weight), settings.crop)
    top, left = place(label, settings.crop, rng)
    window = (slice(top, top + settings.crop), slice(left, left + settings.crop))
    image, label, weight = image[window], label[window], weight[window]
    if settings.flip and rng.random() < 0.5:
        image, label, weight = image[:, ::-1], label[:, ::-1], weight[:, ::-1]
    image = recolour(image, settings.colour, settings.hue, rng)
    return image, np.ascontiguousarray(label), np.ascontiguousarray(weight)


def resized(sample: Sample, factor: float) -> Sample:
    """All three at `factor` times their sides: the picture smoothly, labels and weights by the nearest pixel."""
    image, label, weight = sample
    size = tuple(max(1, round(side * factor)) for side in label.shape[::-1])
    smooth = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    return (
        np.asarray(cv2.resize(image, size, interpolation=smooth), np.uint8),
        np.asarray(cv2.resize(label, size, interpolation=cv2.INTER_NEAREST_EXACT), np.uint8),
        np.asarray(cv2.resize(weight, size, interpolation=cv2.INTER_NEAREST_EXACT), np.uint8),
    )


def padded(sample: Sample, side: int) -> Sample:
    """All three filled up at the bottom and the right to at least `side` pixels."""
    image, label, weight = sample
    down, across = (max(0, side - length) for length in label.shape)
    if down == across == 0:
        return sample
    return (
        np.pad(image, ((0, down), (0, across), (0, 0))),
        np.pad(label, ((0, down), (0, across)), constant_values=IGNORE),
        np.pad(weight, ((0, down), (0, across))),
    )


def place(label: NDArray[np.uint8], side: int, rng: np.random.Generator) -> tuple[int, int]:
    """(top, left) of a crop; one that a single class nearly fills is drawn again a few times."""
    top = left = 0
    for _ in range(TRIES):
        top, left = (int(rng.integers(length - side + 1)) for length in label.shape)
        counts = np.bincount(label[top : top + side, left : left + side].ravel(), minlength=256)[:IGNORE]
        if counts.sum() and counts.max() < MOST_PER_CLASS * counts.sum():
            break
    return top, left


def recolour(image: NDArray[np.uint8], colour: float, hue: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Brightness, contrast and saturation changed by up to `colour`, the hue turned by up to `hue` turns."""
    brightness, contrast, saturation = rng.uniform(1 - colour, 1 + colour, 3)
    turn = rng.uniform(-hue, hue)
    if hue:
        hsv = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2HSV_FULL)
        hsv[..., 0] += np.uint8(round(turn * 256) % 256)  # wraps around, as hues do
        image = np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB_FULL), np.uint8)
    picture = image.astype(np.float32) * brightness
    picture = (picture - picture.mean()) * contrast + picture.mean()
    grey = (picture @ np.array(GREY, np.float32))[..., None]
    return np.clip((picture - grey) * saturation + grey, 0, 255).astype(np.uint8)
