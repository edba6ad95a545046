"""What the user asks for, as text of the command line or values of a file -> class words, points, boxes, a mask."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iseg.cli.pixels import parse_box, parse_boxes, parse_points
from iseg.errors import InputError, echo
from iseg.marks import Marks

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WAYS = ("classes", "vocabulary", "points", "line", "box", "boxes", "mask")  # of saying what to segment


@dataclass(frozen=True)
class Prompt:
    """What to segment in an image: one of these.

    Attributes:
        classes: words.
        vocabulary: words to choose from.
        marks: points with negative ones, a line or a box of one object; or boxes of as many objects, with `several`.
        several: each box is an object of its own.
        names: of these objects.
        mask: file with a rough mask of one object.
    """

    classes: list[str] | None = None
    vocabulary: list[str] | None = None
    marks: Marks = field(default_factory=Marks)
    several: bool = False
    names: list[str] | None = None
    mask: Path | None = None

    @property
    def words(self) -> list[str]:
        """The class words that may be asked for."""
        return self.classes or self.vocabulary or []

    def check(self, size: tuple[int, int]) -> "NDArray[np.bool_] | None":
        """The mask, if there is one, read for an image of size (H, W).

        Raises InputError for a point or box outside the image and a mask that cannot be used, before anything costly.
        """
        if self.mask is not None:
            from iseg.files.images import read_mask

            mask = read_mask(self.mask)
            if mask.shape != size or not mask.any():
                has = "is empty" if mask.shape == size else f"has {mask.shape[1]}x{mask.shape[0]} pixels"
                expected = f"expected {size[1]}x{size[0]} pixels like its image, some of them not 0"
                raise InputError(f"mask {self.mask} {has}: {expected}")
            return mask
        if self.marks != Marks():
            from iseg import seeds

            seeds.columns(self.marks, size)
        return None

    def arguments(self) -> dict[str, Any]:
        """What `ISeg.segment` is called with, beside the classes of a vocabulary and the mask."""
        marks = self.marks
        return {
            "classes": self.classes,
            "points": marks.points or None,
            "negative": marks.negative,
            "line": marks.lines[0] if marks.lines else None,
            "box": marks.boxes[0] if marks.boxes and not self.several else None,
            "boxes": marks.boxes if self.several else None,
            "names": self.names,
        }

    def described(self) -> dict[str, Any]:
        """The same as plain values."""
        marks = self.marks
        boxes = [list(box) for box in marks.boxes]
        values: dict[str, Any] = {
            "vocabulary": self.vocabulary,
            "classes": self.classes,
            "points": [list(point) for point in marks.points],
            "negative": [list(point) for point in marks.negative],
            "line": [list(point) for line in marks.lines for point in line],
            "box": boxes[0] if boxes and not self.several else None,
            "boxes": boxes if self.several else None,
            "names": self.names,
            "mask": self.mask and str(self.mask),
        }
        return {key: value for key, value in values.items() if value}


def parse_prompt(given: Mapping[str, Any], option: str = "--") -> Prompt:
    """Values of `WAYS`, `negative` and `names` (None or left out: not given) -> a prompt.

    option: what goes before a key in messages. Raises InputError unless one way is given, with what belongs to it.
    """
    asked = {key: value for key, value in given.items() if value is not None}
    ways = [f"{option}{key}" for key in WAYS if key in asked]
    if len(ways) != 1:
        said = " and ".join(ways) or "nothing to look for"
        raise InputError(f"{said} was given: expected exactly one of {', '.join(option + key for key in WAYS)}")
    for key, owner in (("negative", "points"), ("names", "boxes")):
        if key in asked and owner not in asked:
            raise InputError(f"{option}{key} was given without {option}{owner}: expected both")
    if "classes" in asked:
        return Prompt(classes=parse_classes(asked["classes"], f"{option}classes"))
    if "vocabulary" in asked:
        return Prompt(vocabulary=parse_vocabulary(asked["vocabulary"]))
    if "mask" in asked:
        return Prompt(mask=_path(f"{option}mask", asked["mask"]))
    if "points" in asked:
        marks = Marks(points=parse_points(f"{option}points", asked["points"]))
        if "negative" in asked:
            marks = replace(marks, negative=parse_points(f"{option}negative", asked["negative"]))
        return Prompt(marks=marks)
    if "line" in asked:
        return Prompt(marks=Marks(lines=[parse_points(f"{option}line", asked["line"])]))
    if "box" in asked:
        return Prompt(marks=Marks(boxes=[parse_box(f"{option}box", asked["box"])]))
    boxes = parse_boxes(f"{option}boxes", asked["boxes"])
    names = parse_classes(asked["names"], f"{option}names") if "names" in asked else None
    if names is not None and len(names) != len(boxes):
        raise InputError(f"{option}names has {len(names)} names for {len(boxes)} boxes: expected one each")
    return Prompt(marks=Marks(boxes=boxes), several=True, names=names)


def parse_classes(given: str | Sequence[str], option: str = "--classes") -> list[str]:
    """ "cat; potted plant" or a list -> words. Raises InputError for none, an empty word, one given twice."""
    expected = "expected words set apart by ';', e.g. 'cat; potted plant'"
    if not isinstance(given, (str, list, tuple)) or not all(isinstance(word, str) for word in given):
        raise InputError(f"{option} {echo(given)}: {expected}")
    words = [word.strip() for word in (given.split(";") if isinstance(given, str) else given)]
    if isinstance(given, str) and words and not words[-1]:
        words.pop()  # a ";" may end the list
    if not words:
        raise InputError(f"{option} {echo(given)}: no class word: {expected}")
    seen: set[str] = set()
    for position, word in enumerate(words, 1):
        if not any(character.isalnum() for character in word):
            raise InputError(f"{option}: word {position} is {echo(word)}: expected letters, e.g. 'cat; potted plant'")
        if word.casefold() in seen:
            raise InputError(f"{option}: {echo(word)} is given twice: expected each word once")
        seen.add(word.casefold())
    return words


def parse_vocabulary(given: str | Sequence[str]) -> list[str]:
    """ "a; b; c", a file with one word per line, or a list -> words. Raises InputError as `read_vocabulary` does."""
    from iseg.tagging import read_vocabulary  # loads torch
    from iseg.tagging.tagger import check_names

    if isinstance(given, str):
        return read_vocabulary(given)
    check_names(given)
    return list(given)


def _path(option: str, given: Any) -> Path:
    if not isinstance(given, str) or not given.strip() or "\0" in given:
        raise InputError(f"{option} is {echo(given)}: expected an image file with the mask")
    return Path(given)
