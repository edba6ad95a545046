"""Pictures one after another in a file."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from iseg.errors import InputError
from iseg.files.export import save_encoded

ANIMATIONS = {".webp": "WEBP", ".gif": "GIF"}


def write_animation(path: str | Path, frames: Sequence[Image.Image], milliseconds: int = 400, hold: int = 1600) -> None:
    """Write RGB frames of one size as an endless `.webp` or `.gif` animation.

    Args:
        path: its ending chooses the format. InputError for another ending.
        frames: at least one image.
        milliseconds: how long each frame is shown; the last one for `hold`.
    """
    form = ANIMATIONS.get(Path(path).suffix.lower())
    if form is None:
        raise InputError(f"{path}: cannot be written: an animation ends in {' or '.join(ANIMATIONS)}")
    if not frames:
        raise InputError(f"{path}: no frame was given: expected at least one")
    durations = [milliseconds] * (len(frames) - 1) + [hold]
    options = {"quality": 85, "method": 4} if form == "WEBP" else {"optimize": True}
    rest = list(frames[1:])
    save_encoded(path, frames[0], format=form, save_all=True, append_images=rest, duration=durations, loop=0, **options)
