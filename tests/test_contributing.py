"""The way of an image that CONTRIBUTING.md tells exists."""

import importlib
import re
from pathlib import Path

TEXT = (Path(__file__).parent.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_the_way_of_an_image_is_there():
    steps = re.findall(r"^\d\. `([\w/]+)\.py` \(`([\w.]+)`\)", TEXT, flags=re.M)
    assert len(steps) == 8
    for file, name in steps:
        found = importlib.import_module(f"iseg.{file.replace('/', '.')}")
        for part in name.split("."):
            found = getattr(found, part)
