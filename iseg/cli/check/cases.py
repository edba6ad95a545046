"""The bundled pictures with their truth."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from iseg.cli.check.report import Finding
from iseg.evaluate.metrics import ConfusionMatrix
from iseg.settings import parse_settings, read_yaml

if TYPE_CHECKING:
    from iseg.backbones.table import BackboneRow

LOWER = 3.0  # points of IoU in % that a picture may be below what is expected
FOLDER = Path(__file__).parent / "data"


@dataclass(frozen=True)
class Case:
    """A picture of known truth.

    Attributes:
        name: file name without ending.
        words: what it shows; label k + 1 of its truth is words[k].
        photograph: whether it is one, or a scene of pictograms.
        expected: {row of the table: IoU of each word in %}; a row that is not there was never measured.
    """

    name: str
    words: list[str]
    photograph: bool = False
    expected: dict[str, list[float]] = field(default_factory=dict)

    @property
    def image(self) -> Path:
        return FOLDER / f"{self.name}.jpg"

    def truth(self) -> NDArray[np.uint8]:
        """(H, W) labels; 255 is not counted."""
        with Image.open(FOLDER / f"{self.name}.png") as opened:
            return np.asarray(opened)

    def iou(self, mask: NDArray[np.uint8]) -> list[float]:
        """IoU in % of each word of labels (H, W)."""
        counted = ConfusionMatrix(len(self.words) + 1)
        counted.update(self.truth(), mask)
        return [100 * float(value) for value in counted.iou()[1:]]

    def judged(self, mask: NDArray[np.uint8], row: str) -> Finding:
        """The IoU of labels (H, W) beside what is expected of a row of the table.

        FAILED if one is clearly below; where nothing was ever measured a warning if all of the image, called that
        word, would be as good.
        """
        measured, expected = self.iou(mask), self.expected.get(row)
        values = {"words": self.words, "IoU": measured, "expected": expected}
        text = "IoU in % " + ", ".join(f"{word} {own:.1f}" for word, own in zip(self.words, measured, strict=True))
        if expected is not None:
            low = any(own < wanted - LOWER for own, wanted in zip(measured, expected, strict=True))
            text += f" (expected {', '.join(f'{wanted:.1f}' for wanted in expected)}, at most {LOWER:g} less)"
            return Finding(text, "FAILED" if low else "ok", values)
        whole = [self.iou(np.full_like(mask, k + 1))[k] for k in range(len(self.words))]
        poor = [word for word, own, least in zip(self.words, measured, whole, strict=True) if own <= least]
        text += " (expected: not yet measured" + (f"; no better than all of it: {', '.join(poor)})" if poor else ")")
        return Finding(text, "warning" if poor else "ok", values)


def cases_for(row: "BackboneRow") -> list[Case]:
    """The photographs, or for a model that knows some words only the scenes of these."""
    content = read_yaml(FOLDER / "cases.yaml")
    cases = [parse_settings(Case, {"name": name, **entry}, f"cases.yaml: {name}") for name, entry in content.items()]
    if row.words is None:
        return [case for case in cases if case.photograph]
    return [case for case in cases if not case.photograph and set(case.words) <= set(row.words)]
