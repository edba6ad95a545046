"""Settings of TagCLIP, read from the `tagging:` section of a configuration."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from iseg.errors import InputError, echo
from iseg.settings import find_config, parse_settings, read_section


@dataclass(frozen=True)
class TagClip:
    """Every setting that decides the labels of an image, given the classes.

    Attributes:
        model: CLIP: a hub id, a local folder, or `package:PATH` inside the iseg package.
        variant: "published" repeats the slips of the published run (a box loses the image's last row and column, an
            empty box ends re-identification for the classes after it, mixing weights may sum to more than 1, position
            embeddings are rounded to float16, a background word may repeat a class); "repaired" mends them.
        names: what CLIP is told for the classes, in their order; None = the classes' prompt words.
        background: words for what is not asked for; they take part in every softmax but are never a label.
        templates: YAML list of sentences; None = configs/tagclip/templates.yaml.
        known_words: the only words the model knows; None = any.
        shortest_side: the image is scaled to this shorter side first; None keeps its size, as published.
        votes: an attention entry counts where at least this many blocks put it above their mean.
        affinity_layers: blocks (from 0) whose attention is averaged.
        candidate: position between the lowest and the highest score above which a class is looked at again.
        mix: weights of the score before and of the crop's probability; repaired: divided by their sum.
        threshold: position between the lowest and the highest class score above which a class is a label.
    """

    model: str = "openai/clip-vit-base-patch16"
    variant: Literal["published", "repaired"] = "repaired"
    names: list[str] | None = None
    background: list[str] = field(default_factory=list)
    templates: str | None = None
    known_words: list[str] | None = None
    shortest_side: int | None = None
    votes: int = 4
    affinity_layers: list[int] = field(default_factory=lambda: [8, 9, 10])
    candidate: float = 0.6
    mix: tuple[float, float] = (0.5, 0.5)
    threshold: float = 0.6

    def __post_init__(self) -> None:
        for name in ("candidate", "threshold"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} is {echo(getattr(self, name))}: expected a number in 0..1")
        if len(self.mix) != 2 or min(self.mix) < 0 or sum(self.mix) <= 0:
            raise InputError(f"mix is {echo(list(self.mix))}: expected two weights, neither negative nor both 0")
        if self.shortest_side is not None and not 16 <= self.shortest_side <= 4096:
            raise InputError(f"shortest_side is {echo(self.shortest_side)}: expected 16..4096 pixels")
        if self.votes < 0:
            raise InputError(f"votes is {echo(self.votes)}: expected a number of blocks, at least 0")
        if not self.affinity_layers:
            raise InputError("affinity_layers is empty: expected block numbers, e.g. [8, 9, 10]")

    @property
    def published(self) -> bool:
        return self.variant == "published"

    @property
    def weights(self) -> tuple[float, float]:
        """The mixing weights in force."""
        total = 1.0 if self.published else sum(self.mix)
        return self.mix[0] / total, self.mix[1] / total


def load_tagging(name: str | Path, **settings: Any) -> TagClip:
    """The TagCLIP settings of a configuration's `tagging:` section ("tagclip/photographs" or a path), some replaced.

    Raises InputError naming file and key for anything unknown or of the wrong type.
    """
    path = find_config(name)
    clip = read_section(path, "tagging", "clip")
    return parse_settings(TagClip, {**clip, **settings}, f"{path}: tagging.clip")
