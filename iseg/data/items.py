"""One labelled image."""

from dataclasses import dataclass
from pathlib import Path

IGNORE = 255


@dataclass(frozen=True)
class Item:
    """An image and its truth.

    Attributes:
        name: unique in its data set; the mask is saved as NAME.png.
        image: path of the image.
        label: path of an indexed or grey PNG of class ids (0 background, 255 ignore), or None.
        background: whether 0 in the truth is a class that counts; where it is not, it is ignored like 255.
    """

    name: str
    image: Path
    label: Path | None = None
    background: bool = True
