"""The options of CLIP's maps: what goes with them, and the CLIP that makes them."""

from typing import TYPE_CHECKING

from iseg.cli.options import Segment
from iseg.cli.prompts import Prompt, parse_classes
from iseg.errors import InputError

if TYPE_CHECKING:
    from iseg.cli.settings import Job
    from iseg.clip_maps import ClipSource


def check_maps(settings: Segment, prompt: Prompt | None, save: list[str]) -> None:
    """Raises InputError for options of CLIP's maps without them, and for what they cannot give."""
    if settings.maps == "cross":
        if settings.background_words is not None:
            raise InputError("--background_words was given without --maps clip or joined: expected both")
        return
    if prompt is None or prompt.vocabulary is None:
        raise InputError(f"--maps {settings.maps} was given without --vocabulary: expected both")
    if "animation" in save:
        raise InputError(f"--save animation was given with --maps {settings.maps}: expected --maps cross")


def asked_words(settings: Segment, prompt: Prompt) -> list[str]:
    """The words that the diffusion model must know."""
    if settings.maps == "cross":
        return prompt.words
    return [] if settings.maps == "clip" else [word.split("|")[0].strip() for word in prompt.words]


def load_source(job: "Job") -> "ClipSource":
    """The CLIP whose maps are segmented. Raises InputError for words that it does not know."""
    from iseg.clip_maps import source_for

    given = job.settings.background_words
    background = None if given is None else parse_classes(given, "--background_words")
    source = source_for(job.row.name, job.settings.clip, background, job.settings.device)
    source.texts(job.vocabulary or [])
    return source
