"""Which classes an image holds by the gating of CLIP's maps (CLIPer, arXiv 2411.13836), in TagCLIP's place."""

from collections.abc import Sequence

from iseg.clip_maps import decision
from iseg.clip_maps.source import ClipSource, Texts
from iseg.files.images import ImageLike
from iseg.tagging.tagger import Tags


class ClipPresence:
    """Labels of images by the scores of their coarse maps; `tag` as of a `Tagger`, but it may find nothing."""

    def __init__(self, source: ClipSource) -> None:
        self.source = source

    def texts(self, names: Sequence[str]) -> Texts:
        """The text matrix of the classes. Raises InputError for a word that cannot be used."""
        return self.source.texts(names)

    def tag(self, image: ImageLike, names: Sequence[str]) -> Tags:
        """The living classes and the scores of all. Without diffusion the refined maps are the coarse ones.

        Raises InputError for an image or names that cannot be used.
        """
        maps = self.source.maps(image, names)
        scores = decision.class_scores(maps, maps.flatten(1).amax(1))
        return Tags(decision.alive(scores, self.source.settings), scores.tolist())
