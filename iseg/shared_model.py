"""A model that threads share: images encoded, passes recorded and looked up, one thread at a time."""

import copy
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from iseg import passes, prompt
from iseg.backbones.heads import Head
from iseg.backbones.seam import Backbone
from iseg.errors import NotFinite
from iseg.files.images import to_square
from iseg.prompt import ClassWord
from iseg.recipe import Recipe
from iseg.results import Attended
from iseg.state import ImageState
from iseg.views import View, averaged

Words = Sequence[str | ClassWord]
Result = TypeVar("Result")
Model = TypeVar("Model", bound="SharedModel")


class SharedModel:
    """A backbone and the recipe of its passes; what threads ask of it is done in turn.

    Args:
        backbone: the loaded diffusion model.
        recipe: settings where none are given.
    """

    def __init__(self, backbone: Backbone, recipe: Recipe) -> None:
        self.backbone, self.recipe = backbone, recipe
        self._lock = threading.RLock()

    def at(self: Model, size: int, seed: int = 0) -> Model:
        """The same model for squares of `size` pixels, with the noise of the seed `seed` after its own.

        It shares weights and lock, and computes in what the model does now: inside an attempt of `finite` take it anew.

        Raises InputError for a size that the model cannot take.
        """
        if size == self.backbone.row.image_size and not seed:
            return self
        other = copy.copy(self)
        other.backbone = copy.copy(self.backbone)
        row = self.backbone.row.at_size(size)
        other.backbone.row = replace(row, noise_seed=row.noise_seed + seed)
        return other

    def look(
        self,
        images: Sequence[NDArray[np.uint8]],
        words: Sequence[Sequence[ClassWord]],
        view: View,
        recipe: Recipe,
        seed: int = 0,
        squares: Sequence[Tensor] | None = None,
    ) -> list[Attended]:
        """One batched pass over a view of B images (H, W, 3) uint8, each with its own classes; maps lie as the view.

        Args:
            recipe: for the model's own size.
            seed: see `at`.
            squares: of `square` at the view's size, not mirrored, where they are there already.
        """
        own, looking = self.backbone.row.recipe_at(recipe, view.size), self.at(view.size, seed)
        squares = squares or [looking.square(image, own) for image in images]
        latents = looking.encode_squares([square.flip(2) if view.mirrored else square for square in squares])
        seen = looking.attend_latents(latents, words, [image.shape[:2] for image in images], own)
        for attended, image in zip(seen, images, strict=True):
            attended.picture = image
        return seen

    def finite(self, state: ImageState, attempt: Callable[[], Result]) -> Result:
        """What an attempt at an image gives; computed once more in float32 if it raises NotFinite."""
        with self._lock:
            try:
                return attempt()
            except NotFinite:
                state.forget()
                with self.backbone.widened():
                    result = attempt()
                state.forget_latents()  # those of float32 would not do for the next pass
                return result

    def attend_image(
        self, state: ImageState, recipe: Recipe, words: Sequence[ClassWord] = (), every_layer: bool = False
    ) -> Attended:
        """The pass of an image for some classes (none: the empty prompt), taken from what the image keeps.

        With several of `Recipe.looks` it is the mean of as many passes.

        every_layer: without words: the self-attention of all layers, aggregated (`iseg.regions.aggregate`).
        """

        def latents(looking: "SharedModel") -> Tensor:
            side = looking.backbone.row.image_size
            return state.latents(recipe.resize, side, lambda: looking.encode([state.pixels], recipe))

        def record() -> Attended:
            if every_layer:
                return passes.attend_every_layer(self.backbone, latents(self), state.size, recipe)
            row, seen = self.backbone.row, []
            for size in row.look_sizes(recipe):
                looking, own = self.at(size), row.recipe_at(recipe, size)
                seen += looking.attend_latents(latents(looking), [words], [state.size], own)
            attended = averaged(seen)
            attended.picture = state.pixels
            return attended

        with self._lock:
            return state.attended(recipe.resize if every_layer else recipe.pass_key(words), record)

    def heads(self, state: ImageState, timestep: int) -> list[Head]:
        """Single self-attention heads of an image by one pass of the empty prompt (CLIPer, arXiv 2411.13836).

        The image is resized by the nearest pixel, as published for these; nothing of the pass is kept.
        """
        with self._lock:
            square = to_square(state.pixels, self.backbone.row.image_size, "nearest")
            noisy = self.backbone.noised(self.encode_squares([square]), timestep)
            return self.backbone.heads(noisy, self.backbone.condition([prompt.EMPTY]), timestep)[0]

    def square(self, image: NDArray[np.uint8], recipe: Recipe) -> Tensor:
        """An image (H, W, 3) uint8 -> (3, S, S) float32 in [0, 1] on the CPU, as the encoder takes it. Thread-safe."""
        return to_square(image, self.backbone.row.image_size, recipe.resize)

    def encode_squares(self, squares: Sequence[Tensor]) -> Tensor:
        """B squares (3, S, S) of `square` -> latents (B, C, h, w)."""
        with self._lock:
            return self.backbone.encode(torch.stack(list(squares)))

    def encode(self, images: Sequence[NDArray[np.uint8]], recipe: Recipe) -> Tensor:
        """B images (H, W, 3) uint8 of any sizes -> latents (B, C, h, w)."""
        return self.encode_squares([self.square(image, recipe) for image in images])

    def attend(self, images: Sequence[NDArray[np.uint8]], classes: Sequence[Words], **settings: Any) -> list[Attended]:
        """A batched pass over B images (H, W, 3) uint8, each with its own classes; several, averaged, for `looks`."""
        recipe = self.recipe.changed(**settings)
        words = [prompt.class_words(each) for each in classes]
        looks = [self.look(images, words, View(size), recipe) for size in self.backbone.row.look_sizes(recipe)]
        return [averaged(seen) for seen in zip(*looks, strict=True)]

    def attend_latents(
        self, latents: Tensor, words: Sequence[Sequence[ClassWord]], sizes: Sequence[tuple[int, ...]], recipe: Recipe
    ) -> list[Attended]:
        """One batched pass over B encoded images; see `iseg.passes.attend`."""
        with self._lock:
            return passes.attend(self.backbone, latents, words, sizes, recipe)
