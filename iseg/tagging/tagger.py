"""TagCLIP (arXiv 2312.12828): image and class words -> which of the classes the image holds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from iseg.errors import InputError, echo
from iseg.files.images import ImageLike, read_image
from iseg.tagging import scores, text, vision
from iseg.tagging.settings import TagClip, load_tagging
from iseg.tagging.with_clip import LastTexts, load_with_settings

if TYPE_CHECKING:
    from transformers import CLIPModel, PreTrainedTokenizerBase

CROPS_PER_PASS = 16
# The attention of a block grows with the square of the patches: with ViT-B/16 this many take 2.9 GB, 1.0 GB of it the
# model and what Python loads (measured with tests/tagging/clip_peak.py, float32 on the CPU).
MAX_PATCHES = 10_000


@dataclass(frozen=True)
class Tags:
    """The labels of one image.

    Attributes:
        chosen: indices of the classes that the image holds, ascending; never empty.
        scores: one per class, higher = more certain; comparable within an image.
    """

    chosen: list[int]
    scores: list[float]


class Tagger:
    """Zero-shot labels of images.

    Args:
        model, tokenizer: CLIP with a vision transformer.
        settings: see `TagClip`.
    """

    def __init__(self, model: "CLIPModel", tokenizer: "PreTrainedTokenizerBase", settings: TagClip) -> None:
        layers = len(model.vision_model.encoder.layers)
        wrong = [layer for layer in settings.affinity_layers if not 0 <= layer < layers]
        if wrong:
            raise InputError(f"affinity_layers names block {wrong[0]}: this CLIP has blocks 0..{layers - 1}")
        if settings.votes > layers:
            raise InputError(f"votes is {settings.votes}: this CLIP has {layers} blocks")
        self.model, self.tokenizer, self.settings = model, tokenizer, settings
        config: Any = model.config.vision_config
        self.patch_size: int = config.patch_size
        self.image_size: int = config.image_size
        self.templates = text.read_templates(settings.templates)
        self._texts: LastTexts[Tensor] = LastTexts()

    @classmethod
    def from_pretrained(
        cls,
        settings: TagClip | str = "tagclip/photographs",
        model: str | None = None,
        device: str | torch.device = "auto",
    ) -> "Tagger":
        """Load CLIP; a configuration needs a `tagging:` section. The rest is as in `load_with_settings`."""
        return cls(*load_with_settings(settings, load_tagging, model, device))

    def texts(self, names: Sequence[str]) -> Tensor:
        """Text features (C, D) of the classes and then of the background words; the last few class sets are kept.

        Raises InputError for no class, an empty name, and a word the model does not know.
        """
        check_names(names, self.settings.known_words)
        background = list(self.settings.background)
        if not self.settings.published:
            taken = {name.lower() for name in names}
            background = [word for word in dict.fromkeys(background) if word.lower() not in taken]
        key = (*names, *background)
        return self._texts.of(key, lambda: text.text_features(self.model, self.tokenizer, key, self.templates))

    @torch.inference_mode()
    def tag(self, image: ImageLike, names: Sequence[str]) -> Tags:
        """Which of the classes `names` the image holds. Raises InputError for an image or names that cannot be used."""
        texts = self.texts(names)
        pixels = self.pixels(image)
        maps, grid = self.maps(pixels, texts)
        values = self.reidentify(pixels, maps, grid, texts, len(names)).tolist()
        return Tags(scores.select(values, self.settings.threshold), values)

    def pixels(self, image: ImageLike) -> Tensor:
        """Normalised pixels (3, H, W) at the size that CLIP sees, on its device."""
        picture = Image.fromarray(read_image(image))
        pixels = vision.to_pixels(picture, self.patch_size, self.settings.shortest_side)
        count = pixels[0].numel() // self.patch_size**2
        if count > MAX_PATCHES:
            raise InputError(
                f"an image of {picture.width}x{picture.height} pixels makes {count} patches, more than {MAX_PATCHES}: "
                "scale it down, or set tagging.clip.shortest_side"
            )
        return pixels.to(self.model.device)

    def maps(self, pixels: Tensor, texts: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Refined maps (N, C) of pixels (3, H, W), and the grid (rows, columns) of the N patches."""
        affinity = scores.Affinity(self.settings.votes, self.settings.affinity_layers)
        features, grid = vision.encode(self.model, pixels, affinity.add, self.settings.published)
        patch = scores.probabilities(features[1:], texts, self._scale)
        return scores.dual_mask(affinity.matrix(), patch, grid, self.settings.published), grid

    def reidentify(
        self, pixels: Tensor, maps: Tensor, grid: tuple[int, int], texts: Tensor, num_classes: int
    ) -> Tensor:
        """Class-wise re-identification: scores (K,) of the maps (N, C), mixed for candidates with a look at their box.

        The class token looks at the crop and sees only the patches where the class's map is high.
        """
        values = maps[:, :num_classes].amax(0)
        found = []
        for index in scores.candidates(maps, num_classes, self.settings.candidate):
            box = scores.object_box(maps[:, index], grid, self.settings.published)
            if box is not None:
                found.append((index, *box))
            elif self.settings.published:
                break
        before, after = self.settings.weights
        for start in range(0, len(found), CROPS_PER_PASS):
            part = found[start : start + CROPS_PER_PASS]
            crops = torch.stack([self._crop(pixels, box) for _, box, _ in part])
            hidden = torch.stack([self._hidden(high) for _, _, high in part])
            seen = scores.probabilities(vision.encode_crops(self.model, crops, hidden), texts, self._scale)
            for row, (index, _, _) in enumerate(part):
                values[index] = before * values[index] + after * seen[row, index]
        return values

    @property
    def _scale(self) -> float:
        return float(self.model.logit_scale.exp())

    def _crop(self, pixels: Tensor, box: scores.Box) -> Tensor:
        """The box's pixels (3, S, S) at the model's own size."""
        top, left, bottom, right = (side * self.patch_size for side in box)
        size = (self.image_size, self.image_size)
        return F.interpolate(pixels[None, :, top:bottom, left:right], size, mode="bilinear", align_corners=False)[0]

    def _hidden(self, high: Tensor) -> Tensor:
        """Cells of a box (h, w) bool -> the crop's patches (N,) bool that the class token must not see."""
        side = self.image_size // self.patch_size
        return F.interpolate(high[None, None].float(), (side, side), mode="nearest").flatten() < 0.5


def check_names(names: Sequence[str], known: Sequence[str] | None = None) -> None:
    """Raises InputError for no names, an empty name, a name given twice, or one that the model does not know."""
    if isinstance(names, str):
        raise InputError(f"the classes are the text {echo(names)}: expected a list of words")
    if not names:
        raise InputError("the vocabulary is empty: expected at least one class word")
    for position, name in enumerate(names):
        if not name.strip():
            raise InputError(f"class {position + 1} of the vocabulary is empty: expected a word")
        if known is not None and name not in known:
            raise InputError(f"class {echo(name)} is not known to this CLIP: expected {', '.join(known)}")
    twice = [name for name in names if list(names).count(name) > 1]
    if twice:
        raise InputError(f"class {echo(twice[0])} is in the vocabulary twice")
