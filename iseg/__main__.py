"""`python -m iseg` is the `iseg` command."""

import sys

from iseg.cli import main

sys.exit(main())
