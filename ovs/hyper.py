"""Sweep over entropy weight x iterations x enhancement on the first images of a split: a table and a plot.

python -m ovs.hyper --config ovs/voc [--limit 100] [--sweep.iterations "[0, 5, 10]"] [--key value ...]
"""

import signal
import sys

if __name__ == "__main__":
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C while libraries load leaves no trace
    from ovs.sweep import main

    sys.exit(main(sys.argv[1:]))
