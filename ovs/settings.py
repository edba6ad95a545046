"""Settings of an open-vocabulary evaluation: those of any evaluation, and where the labels come from."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar, Literal

from iseg.clip_maps import ClipMaps, chosen_preset
from iseg.data.classes import LabelClass
from iseg.errors import InputError
from iseg.evaluate import Evaluation, load_evaluation
from iseg.evaluate.outputs import folder_digest
from iseg.tagging import TagClip
from iseg.tagging.load import locate_clip


@dataclass(frozen=True)
class Tagging:
    """Where the labels of the images come from.

    Attributes:
        source: tagclip (CLIP labels the images), file, truth (classes present in the truth mask: the upper bound), or
            all (every class for every image; for short vocabularies).
        file: source file: JSON {image: [names]} or {image: {name: score}}, CSV, or JSON of the form
            {"image_similarity": {image: [names]}, "text_similarity": {...}}.
        part: which part of a file of the last form is read.
        clip: settings of TagCLIP.
        presence: what decides which classes an image holds: tagclip, or clip, the scores of CLIP's maps (`clip_maps`).
    """

    source: Literal["tagclip", "file", "truth", "all"] = "tagclip"
    file: str | None = None
    part: Literal["image_similarity", "text_similarity"] = "image_similarity"
    clip: TagClip = field(default_factory=TagClip)
    presence: Literal["tagclip", "clip"] = "tagclip"


@dataclass(frozen=True)
class OpenVocabulary(Evaluation):
    """Settings of an open-vocabulary evaluation.

    Attributes:
        tagging: where the labels come from. `prompt: repaired` mends TagCLIP's slips, too.
        upper_bound: segment once more with the classes of the truth, in OUT/truth_labels, and compare.
        maps: what is refined: cross-attention of the labels (the method), maps of all classes by CLIP with no labels
            (CLIPer, arXiv 2411.13836), or both joined.
        clip_maps: settings of CLIP's maps.
        clip_presets: {name: settings that replace those of `clip_maps`}, e.g. those of another CLIP.
        clip_preset: which of them is in force.
    """

    tagging: Tagging = field(default_factory=Tagging)
    upper_bound: bool = False
    maps: Literal["cross", "clip", "joined"] = "cross"
    clip_maps: ClipMaps = field(default_factory=ClipMaps)
    clip_presets: dict[str, dict[str, Any]] = field(default_factory=dict)
    clip_preset: str | None = None
    entry: ClassVar[str] = "ovs"

    def decides(self) -> dict[str, Any]:
        """What of CLIP's maps decides the masks; CLIP is known by its weights."""
        if self.maps == "cross":
            return {}
        clip = {**asdict(self.clip_maps), "model": folder_digest(str(locate_clip(self.clip_maps.model)))}
        return {"maps": self.maps, "clip_maps": clip}


def clip_words(names: Sequence[str] | None, classes: Sequence[LabelClass], setting: str) -> list[str]:
    """What CLIP is told for each class. InputError if the setting names another number of classes."""
    words = list(names or [entry.word.word for entry in classes])
    if len(words) != len(classes):
        raise InputError(f"{setting} has {len(words)} names for {len(classes)} classes: expected one per class")
    return words


def load_settings(arguments: list[str], prog: str) -> OpenVocabulary:
    """Settings from `--config FILE` and `--key value`. Raises InputError naming what cannot be used."""
    settings = load_evaluation(arguments, prog, OpenVocabulary)
    tagging = settings.tagging
    if (tagging.source == "file") != (tagging.file is not None):
        raise InputError(
            f"tagging.source is {tagging.source} and tagging.file is {tagging.file}: give both "
            "--tagging.source file and --tagging.file PATH, or neither"
        )
    if settings.data.labels is not None:
        raise InputError("data.labels is set by the labelling stage: give --tagging.source file --tagging.file PATH")
    if settings.prompt == "repaired":
        tagging = replace(tagging, clip=replace(tagging.clip, variant="repaired"))
    clip_maps = chosen_preset(settings.clip_maps, settings.clip_presets, settings.clip_preset)
    return replace(settings, tagging=tagging, clip_maps=clip_maps)
