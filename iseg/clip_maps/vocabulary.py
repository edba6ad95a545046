"""Any words on any image by CLIP's maps: no labels first, absent words stay absent."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from iseg.clip_maps.joined import find_joined
from iseg.clip_maps.segment import Found, find_by_clip
from iseg.clip_maps.settings import Source, load_clip_maps
from iseg.clip_maps.source import ClipSource
from iseg.clip_maps.texts import split_names
from iseg.errors import InputError
from iseg.files.images import ImageLike

if TYPE_CHECKING:
    from iseg.pipeline import ISeg

PICTOGRAMS, PHOTOGRAPHS = "ovs/demo", "clip_maps/photographs"  # configurations with a `clip_maps:` section


def source_for(
    model: str, clip: str | None = None, background: Sequence[str] | None = None, device: str = "auto"
) -> ClipSource:
    """The CLIP that goes with a diffusion model: the small one for "tiny", else ViT-L/14.

    Args:
        clip: folder or hub id of another; background: words for what is not asked for, in place of the default ones.

    Raises InputError for a CLIP that cannot be had.
    """
    settings = load_clip_maps(PICTOGRAMS if model == "tiny" and clip is None else PHOTOGRAPHS)
    if background is not None:
        settings = replace(settings, background=list(background))
    return ClipSource.from_pretrained(settings, clip, device)


def first_names(vocabulary: Sequence[str]) -> list[str]:
    """What classes are called: "sofa|couch" -> "sofa". Raises InputError as `split_names` does."""
    return [each[0] for each in split_names(vocabulary)]


def segment_words(
    seg: "ISeg", source: ClipSource, image: ImageLike, vocabulary: Sequence[str], maps: Source = "clip", **settings: Any
) -> Found:
    """Find and segment the words of a vocabulary that an image shows.

    Args:
        seg: its image is set to `image`.
        vocabulary: classes, each a name or several for one class ("sofa|couch").
        maps: "clip", or "joined" with the cross-attention of the classes' first names.
        settings: any field of `Recipe`.

    Returns:
        What was found: label k + 1 of `result.mask` is `result.names[k]`; nothing may be found.

    Raises InputError for an image or words that cannot be used.
    """
    if maps == "cross":
        raise InputError("maps is 'cross': expected clip or joined; iseg.tagging labels an image for cross-attention")
    names = first_names(vocabulary)
    coarse = source.maps(image, vocabulary)
    state, recipe = seg.set_image(image), seg.recipe.changed(**settings)
    find = find_joined if maps == "joined" else find_by_clip
    return find(seg, state, coarse, names, source.settings, recipe)
