"""The interactive page, usually through `sh run.sh`; `iseg page` is the same."""

import sys

from iseg.cli import main

if __name__ == "__main__":
    sys.exit(main(["page", *sys.argv[1:]]))
