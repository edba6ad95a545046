"""The interactive page in a Space. Variables: ISEG_MODEL, ISEG_AUTH (USER:PASSWORD), PORT."""

import os
import sys

from iseg.cli import main


def arguments() -> list[str]:
    """What `iseg page` is started with."""
    port, model = os.environ.get("PORT", "7860"), os.environ.get("ISEG_MODEL", "tiny")
    auth = os.environ.get("ISEG_AUTH", "")
    access = ["--auth", auth] if auth else ["--open", "true"]
    return ["page", "--host", "0.0.0.0", "--port", port, "--model", model, *access]


if __name__ == "__main__":
    sys.exit(main(arguments()))
