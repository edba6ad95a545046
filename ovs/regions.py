"""Unsupervised segmentation of a data set: regions without words, matched to the classes image by image.

python -m ovs.regions --config regions/coco-stuff27 [--key value ...]
"""

import signal
import sys
from collections.abc import Sequence

PROG = "python -m ovs.regions"


def main(arguments: Sequence[str]) -> int:
    """Returns the exit code: 0, 1 if single images failed, else see `iseg.evaluate.exit_code`."""
    from accelerate import PartialState

    from iseg.evaluate import exit_code, load_evaluation
    from iseg.evaluate.regions import RegionEvaluation, evaluate_regions

    def job() -> int:
        code = evaluate_regions(load_evaluation(list(arguments), PROG, RegionEvaluation))
        PartialState().destroy_process_group()
        return code

    return exit_code(job)


if __name__ == "__main__":
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C while libraries load leaves no trace
    sys.exit(main(sys.argv[1:]))
