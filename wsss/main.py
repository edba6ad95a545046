"""Weakly supervised segmentation: pseudo-masks and their score from a configuration.

`python wsss/main.py --config wsss/voc [--key value ...]`, usually through `sh shell_main.sh`.
"""

import signal
import sys

if __name__ == "__main__":
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C while libraries load leaves no trace
    from iseg.evaluate import main

    sys.exit(main(["run", *sys.argv[1:]], prog="wsss/main.py"))
