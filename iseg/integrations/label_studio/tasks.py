"""What Label Studio sends -> what to segment -> what it shows: labelling configs, marks in percent, brush regions."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from iseg.errors import InputError, echo
from iseg.integrations.label_studio.brush import encode_brush
from iseg.marks import Box, Point
from iseg.pipeline import ISeg
from iseg.results import Segmentation
from iseg.state import ImageState

MARKS = ("keypointlabels", "rectanglelabels", "textarea", "keypoint", "rectangle")
LARGEST_CONFIG = 1 << 20  # characters


@dataclass(frozen=True)
class LabelConfig:
    """What matters of a labelling config.

    Attributes:
        brush, image: names of the BrushLabels and of the Image that they go to.
        variable: key of a task's data that holds the image's address.
        labels: those of the BrushLabels.
    """

    brush: str
    image: str
    variable: str
    labels: list[str]

    def label_of(self, word: str) -> str:
        """The label of a word: the one that equals it but for case, or the only one. Raises InputError."""
        same = [label for label in self.labels if label.casefold() == word.casefold()]
        if not same and len(self.labels) != 1:
            raise InputError(f"no label is called {echo(word)}: expected one of {', '.join(self.labels)}")
        return (same or self.labels)[0]


def read_config(text: str) -> LabelConfig:
    """A labelling config (XML). Raises InputError for one without BrushLabels on an Image."""
    expected = "expected XML with an <Image> and <BrushLabels> on it"
    if len(text) > LARGEST_CONFIG or "<!" in text.replace("<!--", ""):  # entities may grow without bounds
        raise InputError(f"the labelling config is too long or declares entities: {expected}")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise InputError(f"the labelling config cannot be read ({error}): {expected}") from None
    images = {each.get("name"): each.get("value", "") for each in root.iter("Image")}
    for brush in root.iter("BrushLabels"):
        image, labels = brush.get("toName"), [each.get("value", "") for each in brush.iter("Label")]
        if image in images and all(labels) and labels:
            return LabelConfig(brush.get("name", ""), image or "", images[image].removeprefix("$"), labels)
    raise InputError(f"the labelling config has no brush labels: {expected}")


@dataclass
class Asked:
    """What was marked in an image: words, and per label the pixels (x, y) of its points and boxes."""

    words: list[str] = field(default_factory=list)
    points: dict[str, tuple[list[Point], list[Point]]] = field(default_factory=dict)
    boxes: list[tuple[str, Box]] = field(default_factory=list)


def read_marks(results: Iterable[Mapping[str, Any]], config: LabelConfig, size: tuple[int, int]) -> Asked:
    """Text areas, key points and rectangles of an annotation, for an image of size (H, W). Raises InputError."""
    asked = Asked()
    for result in results:
        if (kind := result.get("type")) not in MARKS:
            continue
        value = result["value"]
        if kind == "textarea":
            texts = value["text"] if isinstance(value["text"], list) else [value["text"]]
            asked.words += [word.strip() for text in texts for word in text.split(";") if word.strip()]
            continue
        label = config.label_of(*value[kind][:1]) if value.get(kind) else config.label_of("")
        x, y = _pixels(value["x"], size[1]), _pixels(value["y"], size[0])
        if kind.startswith("keypoint"):
            positive = bool(int(result.get("is_positive", value.get("is_positive", 1))))
            asked.points.setdefault(label, ([], []))[0 if positive else 1].append((x, y))
        elif value.get("rotation"):
            raise InputError(f"a rectangle is turned by {value['rotation']} degrees: expected an upright one")
        else:
            far = value["x"] + value["width"], value["y"] + value["height"]
            asked.boxes.append((label, (x, y, _pixels(far[0], size[1]), _pixels(far[1], size[0]))))
    return asked


def _pixels(percent: float, length: int) -> float:
    """Percent of a length in pixels, whole again where a whole pixel was meant."""
    return round(float(percent) * length / 100, 6)


def segment(model: ISeg, state: ImageState, asked: Asked, config: LabelConfig) -> list[dict[str, Any]]:
    """The brush regions of what was asked for; a word per label where nothing was (pre-annotation)."""
    regions = []
    words = list(dict.fromkeys(asked.words))
    if not (words or asked.points or asked.boxes):
        words = config.labels
    if words:
        labels = [config.label_of(word) for word in words]
        regions += _regions(model.segment(words, image=state), labels, config)
    for label, (points, negative) in asked.points.items():
        result = model.segment(points=points, negative=negative, image=state)
        regions += _regions(result, [label], config)
    if asked.boxes:
        labels, boxes = [label for label, _ in asked.boxes], [box for _, box in asked.boxes]
        result = model.segment(boxes=boxes, names=labels, image=state)
        regions += _regions(result, labels, config)
    return regions


def _regions(result: Segmentation, labels: Sequence[str], config: LabelConfig) -> list[dict[str, Any]]:
    """A brush region for each label that has a pixel."""
    return [brush_region(region, labels[k], config, score) for k, region, score in result.each_found()]


def brush_region(region: NDArray[np.bool_], label: str, config: LabelConfig, score: float) -> dict[str, Any]:
    """A region (H, W) as Label Studio shows it; score: 0..1."""
    return {
        "id": uuid.uuid4().hex[:10],
        "type": "brushlabels",
        "from_name": config.brush,
        "to_name": config.image,
        "original_width": region.shape[1],
        "original_height": region.shape[0],
        "image_rotation": 0,
        "score": round(score, 6),
        "value": {"format": "rle", "rle": encode_brush(region), "brushlabels": [label]},
    }
