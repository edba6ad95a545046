"""Unsupervised segmentation of a data set: regions without words, matched to the classes image by image.

python -m ovs.regions --config regions/coco-stuff27 [--key value ...]
"""

import sys
from collections.abc import Sequence

from iseg.errors import InputError
from iseg.evaluate import load_evaluation
from iseg.evaluate.regions import RegionEvaluation, evaluate_regions

PROG = "python -m ovs.regions"
BAD_INPUT = 2  # exit code


def main(arguments: Sequence[str]) -> int:
    """Returns the exit code: 0, 1 if single images failed, 2 for unusable input."""
    try:
        return evaluate_regions(load_evaluation(list(arguments), PROG, RegionEvaluation))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
