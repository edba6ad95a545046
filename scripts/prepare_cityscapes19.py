"""Cityscapes' label ids -> label PNGs of the 19 classes that are scored: train ids + 1, the rest is ignored (255).

    python -m scripts.prepare_cityscapes19 [--root datasets] [--workers N]

Reads ROOT/cityscapes/gtFine/val/CITY/*_gtFine_labelIds.png (gtFine_trainvaltest.zip). A second start makes what
is missing.
"""

from scripts.prepare import run
from scripts.prepare_cityscapes27 import lookup, prepare

IDS = (7, 8, 11, 12, 13, 17, *range(19, 29), 31, 32, 33)  # label ids of the train ids 0..18


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    return prepare(arguments, __doc__.splitlines()[0], lookup(1, IDS), "cityscapes19")


if __name__ == "__main__":
    run(main)
