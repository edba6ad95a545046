"""`python -m iseg.evaluate run|score`."""

import sys

from iseg.evaluate import main

sys.exit(main(sys.argv[1:]))
