"""Whether words describe something that is in the image at all: CLIP's maps of them beside other words."""

import threading
from collections.abc import Sequence

import numpy as np
from huggingface_hub import try_to_load_from_cache
from numpy.typing import NDArray

from iseg.backbones.table import BackboneRow
from iseg.clip_maps import load_clip_maps, source_for
from iseg.clip_maps.presence import ClipPresence
from iseg.clip_maps.vocabulary import PHOTOGRAPHS as MAPS_OF_PHOTOGRAPHS
from iseg.data.classes import load_classes
from iseg.errors import InputError
from iseg.tagging.settings import load_tagging
from iseg.tagging.tagger import Tagger
from iseg.tagging.vocabulary import PHOTOGRAPHS, tagger_for

BESIDE = "voc20"  # words that stand beside those asked for, where a model knows any word


class Sureness:
    """Says which words an image holds, where a CLIP is at hand: the small one for the embedded model, else CLIP
    ViT-L/14 or ViT-B/16 if it has been downloaded before. Nothing is downloaded here."""

    def __init__(self) -> None:
        self._tagger: Tagger | ClipPresence | None = None
        self._for: str | None = None
        self._lock = threading.Lock()

    def found(
        self, image: NDArray[np.uint8], phrases: Sequence[str], row: BackboneRow, device: str
    ) -> list[bool] | None:
        """For each phrase whether the image (H, W, 3) holds it; None where this cannot be told.

        The phrases stand beside the words the model knows (VOC's 20 where it knows any), and those are found whose map
        is high enough anywhere, the rule of maps by CLIP (`ClipPresence`). Where only ViT-B/16 is at hand the rule is
        TagCLIP's.
        """
        beside = row.words or [entry.word.word for entry in load_classes(BESIDE)]
        asked = {phrase.casefold() for phrase in phrases}
        names = [*dict.fromkeys(phrases), *(word for word in beside if word.casefold() not in asked)]
        with self._lock:
            tagger = self._load(row.name, device)
            if tagger is None:
                return None
            try:
                if isinstance(tagger, ClipPresence):
                    held = dict(zip(names, tagger.holds(image, names), strict=True))
                    return [held[phrase] for phrase in phrases]
                tags = tagger.tag(image, names)
            except InputError:  # a word or a size that this CLIP cannot take
                return None
        chosen = {names[index] for index in tags.chosen}
        return [phrase in chosen for phrase in phrases]

    def _load(self, model: str, device: str) -> Tagger | ClipPresence | None:
        if self._for != model:
            self._for, self._tagger = model, None
            try:
                if model == "tiny" or _downloaded(load_clip_maps(MAPS_OF_PHOTOGRAPHS).model):
                    self._tagger = ClipPresence(source_for(model, device=device))
                elif _downloaded(load_tagging(PHOTOGRAPHS).model):
                    self._tagger = tagger_for(model, device=device)
            except InputError:
                self._tagger = None
        return self._tagger


def _downloaded(clip: str) -> bool:
    return isinstance(try_to_load_from_cache(clip, "config.json"), str)
