"""Open-vocabulary segmentation of a split: label the images, then segment them by their labels.

python -m ovs.main --config ovs/voc [--key value ...]
"""

import signal
import sys

if __name__ == "__main__":
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C while libraries load leaves no trace
    from ovs.run import main

    sys.exit(main(sys.argv[1:]))
