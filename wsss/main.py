"""Weakly supervised segmentation: pseudo-masks and their score from a configuration.

`python wsss/main.py --config wsss/voc [--key value ...]`, usually through `sh shell_main.sh`.
"""

import sys

from iseg.evaluate import main

if __name__ == "__main__":
    sys.exit(main(["run", *sys.argv[1:]], prog="wsss/main.py"))
