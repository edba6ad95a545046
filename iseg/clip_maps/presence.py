"""Which classes an image holds by the gating of CLIP's maps (CLIPer, arXiv 2411.13836), in TagCLIP's place."""

from collections.abc import Sequence

from iseg.clip_maps import decision
from iseg.clip_maps.source import ClipSource, Texts
from iseg.files.images import ImageLike
from iseg.tagging.tagger import Tags

SAME = 0.9  # cosine of two names of one class: of the small CLIP's words those of one class reach it, no others do


class ClipPresence:
    """Labels of images by the scores of their coarse maps; `tag` as of a `Tagger`, but it may find nothing."""

    def __init__(self, source: ClipSource) -> None:
        self.source = source

    def texts(self, names: Sequence[str]) -> Texts:
        """The text matrix of the classes. Raises InputError for a word that cannot be used."""
        return self.source.texts(names)

    def holds(self, image: ImageLike, words: Sequence[str]) -> list[bool]:
        """For each word whether the image holds it; words that are names of one thing are asked for as one class.

        Raises InputError as `tag`.
        """
        features = self.source.word_features(words)
        same = features @ features.T > SAME
        firsts = [int(row.nonzero()[0]) for row in same]  # the first word that is as much as the same
        groups = {first: [word for word, own in zip(words, firsts, strict=True) if own == first] for first in firsts}
        chosen = self.tag(image, ["|".join(group) for group in groups.values()]).chosen
        found = {list(groups)[index] for index in chosen}
        return [first in found for first in firsts]

    def tag(self, image: ImageLike, names: Sequence[str]) -> Tags:
        """The living classes and the scores of all. Without diffusion the refined maps are the coarse ones.

        Raises InputError for an image or names that cannot be used.
        """
        maps = self.source.maps(image, names)
        scores = decision.class_scores(maps, maps.flatten(1).amax(1))
        return Tags(decision.alive(scores, self.source.settings), scores.tolist())
