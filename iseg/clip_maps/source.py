"""CLIP as a source of first maps: image and class words -> coarse maps (CLIPer, arXiv 2411.13836)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from torch import Tensor

from iseg import masks
from iseg.clip_maps import coarse
from iseg.clip_maps.encode import encode, encode_apart, to_pixels
from iseg.clip_maps.settings import ClipMaps, load_clip_maps
from iseg.clip_maps.texts import clip_digest, kept_features, named_templates, other_words, split_names
from iseg.clip_maps.windows import Overlay, Window, averaged, scaled, windows
from iseg.errors import InputError
from iseg.files.images import ImageLike, read_image
from iseg.tagging.load import locate_clip
from iseg.tagging.tagger import check_names
from iseg.tagging.text import text_features
from iseg.tagging.with_clip import LastTexts, load_with_settings

if TYPE_CHECKING:
    from transformers import CLIPModel, PreTrainedTokenizerBase

WINDOWS_PER_PASS = 16
MAX_PATCHES = 6_000  # the attention of ViT-L/14's 16 heads over them is 2.3 GB


@dataclass(frozen=True)
class Texts:
    """The text matrix (R, D), unit rows, class rows first; and how many rows each of F classes has."""

    matrix: Tensor
    groups: list[int]


class ClipSource:
    """Coarse maps of any words on any image.

    Args:
        model, tokenizer: CLIP with a vision transformer.
        settings: see `ClipMaps`.
        digest: of the CLIP, under which text features are kept on disk; None keeps none there.
    """

    def __init__(
        self,
        model: "CLIPModel",
        tokenizer: "PreTrainedTokenizerBase | None",
        settings: ClipMaps,
        digest: str | None = None,
    ) -> None:
        config: Any = model.config.vision_config
        self.patch_size: int = config.patch_size
        layers = config.num_hidden_layers
        if -settings.select > layers:
            raise InputError(f"select is {settings.select}: this CLIP has {layers} layers, expected -{layers}..-1")
        for name in ("crop", "stride"):
            value = getattr(settings, name)
            if settings.crop and value % self.patch_size:
                raise InputError(f"{name} is {value}: expected a multiple of this CLIP's patch of {self.patch_size}")
        self.model, self.tokenizer, self.settings, self.digest = model, tokenizer, settings, digest
        self.templates = named_templates(settings.templates)
        self._texts: LastTexts[Texts] = LastTexts()

    @classmethod
    def from_pretrained(
        cls, settings: ClipMaps | str = "clip_maps/photographs", model: str | None = None, device: str = "auto"
    ) -> "ClipSource":
        """Load CLIP; a configuration needs a `clip_maps:` section. The rest is as in `load_with_settings`."""
        clip, tokenizer, chosen = load_with_settings(settings, load_clip_maps, model, device)
        return cls(clip, tokenizer, chosen, clip_digest(locate_clip(chosen.model)))

    def texts(self, names: Sequence[str]) -> Texts:
        """The text matrix of classes, each a name or several ("sofa|couch"); the last few are kept in memory.

        Raises InputError for no class, an empty or repeated name, and a word that the model does not know.
        """

        def make() -> Texts:
            classes = split_names(names)
            words = [name for each in classes for name in each]
            check_names(words, self.settings.known_words)
            background = other_words(self.settings.background, classes)
            features = self.word_features([*words, *background])
            matrix = coarse.text_matrix(features[: len(words)], features[len(words) :])
            return Texts(matrix, [len(each) for each in classes])

        return self._texts.of(tuple(names), make)

    def word_features(self, words: Sequence[str]) -> Tensor:
        """(C, D) float32 unit features of words on the model's device, from the disk where they were made before."""

        def make() -> Tensor:
            assert self.tokenizer is not None  # a source without one is given its texts
            return text_features(self.model, self.tokenizer, words, self.templates)

        made = make() if self.digest is None else kept_features(self.digest, self.templates, words, make)
        return made.to(self.model.device)

    @torch.inference_mode()
    def maps(self, image: ImageLike, names: Sequence[str]) -> Tensor:
        """(F, h, w) float32 coarse maps of the classes over the whole image; values can exceed 1.

        Raises InputError for an image or names that cannot be used.
        """
        texts, settings = self.texts(names), self.settings
        picture = Image.fromarray(read_image(image))
        views = []
        for side in (settings.shortest_side, *settings.further_sides):
            pixels = self.pixels(picture, side)
            views.append(self._view(pixels, texts))
            if settings.mirror:
                views.append(self._view(pixels.flip(2), texts).flip(2))
        if len(views) == 1:
            return views[0]
        finest = max(views, key=lambda view: view[0].numel())
        size = (finest.shape[1], finest.shape[2])
        return torch.stack([masks.resize(view, size) for view in views]).mean(0)

    def _view(self, pixels: Tensor, texts: Texts) -> Tensor:
        """(F, h, w) of one picture (3, H, W)."""
        settings = self.settings
        if settings.patches == "apart":
            return self._apart(pixels, texts)
        features, attention, grid = encode(self.model, pixels)
        logits = coarse.patch_logits(features, texts.matrix, settings.scale)
        shares = coarse.class_probabilities(logits, texts.groups)
        if settings.crop:
            looked = self._look_closer(pixels, texts, grid)
            shares = 0.5 * shares + 0.5 * coarse.class_probabilities(looked, texts.groups)
        return coarse.coarse_maps(shares, attention, settings.select, settings.threshold).unflatten(1, grid)

    def _apart(self, pixels: Tensor, texts: Texts) -> Tensor:
        """(F, h, w) of one picture (3, H, W) whose patches stay apart; with a window, the mean of the windows."""
        size, patch = (pixels.shape[1], pixels.shape[2]), self.patch_size
        whole = [(0, 0, *size)]
        places = windows(size, self.settings.crop, self.settings.stride) if self.settings.crop else whole
        parts: list[tuple[Window, Tensor]] = []
        for start in range(0, len(places), WINDOWS_PER_PASS):
            some = places[start : start + WINDOWS_PER_PASS]
            crops = torch.stack([pixels[:, top:bottom, left:right] for top, left, bottom, right in some])
            tokens, grid = encode_apart(self.model, crops)
            logits = coarse.patch_logits(tokens, texts.matrix, self.settings.scale)
            shares = coarse.class_probabilities(logits, texts.groups).unflatten(2, grid)
            parts += zip([scaled(each, patch) for each in some], shares, strict=True)
        return averaged(parts, (size[0] // patch, size[1] // patch))

    def pixels(self, picture: Image.Image, short: int) -> Tensor:
        """Normalised pixels (3, H, W) of a shorter side of about `short`, on CLIP's device. InputError if too large."""
        patches = (short / self.patch_size) ** 2 * max(picture.size) / min(picture.size)
        if patches > MAX_PATCHES:
            raise InputError(
                f"an image of {picture.width}x{picture.height} pixels makes {patches:.0f} patches at a shorter side of "
                f"{short}, more than {MAX_PATCHES}: expected a less narrow image, or a lower clip_maps.shortest_side"
            )
        return to_pixels(picture, self.patch_size, short).to(self.model.device)

    def _look_closer(self, pixels: Tensor, texts: Texts, grid: tuple[int, int]) -> Tensor:
        """Logits (L, R, hw) by the sliding window."""
        overlay, patch = Overlay(grid), self.patch_size
        size = (pixels.shape[1], pixels.shape[2])
        for window in windows(size, self.settings.crop, self.settings.stride):
            top, left, bottom, right = window
            features, attention, _ = encode(self.model, pixels[:, top:bottom, left:right])
            logits = coarse.patch_logits(features, texts.matrix, self.settings.scale)
            overlay.add(scaled(window, patch), logits, attention)
        return overlay.logits()
