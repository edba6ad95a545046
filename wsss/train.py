"""A student, trained on the masks of a run.

`python wsss/train.py --config wsss/train_voc [--key value ...]`, usually through `sh shell_train.sh`.
"""

import signal
import sys

if __name__ == "__main__":
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C while libraries load leaves no trace
    from iseg.student.main import main

    sys.exit(main(["train", *sys.argv[1:]], prog="wsss/train.py"))
