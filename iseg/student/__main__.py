"""`python -m iseg.student train|evaluate|export`."""

import signal
import sys

if __name__ == "__main__":
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C while libraries load leaves no trace
    from iseg.student.main import main

    sys.exit(main(sys.argv[1:]))
