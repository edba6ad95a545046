"""Any words on any image: label it with TagCLIP, then segment it by its labels."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iseg.errors import InputError, echo
from iseg.files.images import ImageLike
from iseg.tagging.tagger import Tagger, Tags, check_names
from iseg.texts import is_file, read_text

if TYPE_CHECKING:
    from iseg.pipeline import ISeg
    from iseg.results import Segmentation

PICTOGRAMS, PHOTOGRAPHS = "ovs/demo", "tagclip/photographs"  # configurations with a `tagging:` section


def read_vocabulary(given: str) -> list[str]:
    """Words from a file, one per line ("#" starts a comment), or from the text "a; b; c" itself.

    Raises InputError for no word, an empty one, one given twice, and a file that cannot be read.
    """
    path = Path(given)
    if is_file(path):  # a text may be longer than a file name
        lines = read_text(path, "a vocabulary").splitlines()
        words = [line.split("#")[0].strip() for line in lines]
        words = [word for word in words if word]
    else:
        if path.suffix in (".txt", ".csv") or "/" in given:
            raise InputError(
                f"vocabulary {echo(given)}: no such file; expected a file of words, or words like 'cat; sofa'"
            )
        words = [word.strip() for word in given.split(";")]
        if words and not words[-1]:
            words.pop()  # a ";" may end the list
    check_names(words)
    return words


def tagger_for(model: str, clip: str | None = None, device: str = "auto") -> Tagger:
    """The tagger that goes with a diffusion model: the small CLIP for "tiny", else CLIP ViT-B/16; `clip` replaces it.

    Raises InputError for a CLIP that cannot be had.
    """
    embedded = model == "tiny" and clip is None
    return Tagger.from_pretrained(PICTOGRAMS if embedded else PHOTOGRAPHS, clip, device)


def tag_then_segment(
    seg: "ISeg", tagger: Tagger, image: ImageLike, vocabulary: Sequence[str], **settings: Any
) -> tuple[Tags, "Segmentation"]:
    """Label an image with words of the vocabulary, then segment it by its labels.

    Args:
        seg: its image is set to `image`.
        settings: as for `ISeg.segment`, e.g. iterations=5, trajectory=True.

    Returns:
        The labels (indices into the vocabulary, and scores of all of it), and the segmentation: label k + 1 of its mask
        is `names[k]`, the k-th word that was chosen, in the vocabulary's order.
    """
    tags = tagger.tag(image, vocabulary)
    seg.set_image(image)
    return tags, seg.segment(classes=[vocabulary[index] for index in tags.chosen], **settings)
