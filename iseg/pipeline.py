"""ISeg: image -> attention -> masks. It composes the steps of the method and has no maths of its own."""

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from iseg import passes, prompt, seeds
from iseg.backbone import Components
from iseg.config import Recipe, load_recipe
from iseg.errors import InputError
from iseg.images import ImageLike, read_image
from iseg.loading import load
from iseg.prompt import ClassWord
from iseg.results import Attended, Segmentation
from iseg.seeds import Point
from iseg.solve import refine_classes, refine_seeds, solve, solve_seeds
from iseg.weights import find_backbone

KEPT_PASSES = 2  # recorded passes kept per image: the empty prompt's and the last text's


class ISeg:
    """Training-free segmentation of one image at a time (`set_image`, `segment`) or of batches (`segment_batch`).

    Not thread-safe: one caller at a time.

    `attend` and `solve` are its two halves: what costs a pass, and what a change of settings repeats.
    """

    solve, solve_seeds = staticmethod(solve), staticmethod(solve_seeds)
    refine_classes, refine_seeds = staticmethod(refine_classes), staticmethod(refine_seeds)

    def __init__(self, components: Components, recipe: Recipe) -> None:
        self.components, self.recipe = components, recipe
        self._image: NDArray[np.uint8] | None = None
        self._latents: dict[str, Tensor] = {}
        self._passes: OrderedDict[tuple, Attended] = OrderedDict()

    @classmethod
    def from_pretrained(
        cls,
        model: str | Path = "sd21-base",
        recipe: str | Path | Recipe | None = None,
        device: str | torch.device = "auto",
        dtype: str | torch.dtype = "auto",
        backbone: str | None = None,
        vae: str | Path | None = None,
    ) -> "ISeg":
        """Load a model.

        Args:
            model: a backbone of the table ("sd21-base", "tiny"), a diffusers folder, a `.safetensors` file, a hub id.
            recipe: a configuration with a `recipe:` section ("wsss/voc" or a path), or a `Recipe`; by default the
                interactive settings of the backbone.
            device: "auto" (cuda, mps, cpu) or a torch device.
            dtype: "float32", "float16", "bfloat16", "mixed" (weights in float16, arithmetic in float32), or "auto":
                float16 on cuda, float32 on mps; on the CPU bfloat16 where the processor computes in it, else mixed.
            backbone: row of the table whose layers fit a folder, file or hub id ("sd21-base" by default).
            vae: "taesd" or a folder with an AutoencoderTiny, instead of the model's own VAE: faster, less exact.

        Raises InputError for a model, recipe or device that cannot be used.
        """
        row = find_backbone(model, backbone)
        if recipe is None:
            recipe = Recipe().changed(**row.recipe)
        elif not isinstance(recipe, Recipe):
            recipe = load_recipe(recipe)
        row.layers(recipe)  # a recipe that does not fit is found before weights are loaded
        return cls(load(row, device, dtype, vae), recipe)

    def set_image(self, image: ImageLike) -> None:
        """Take an image (path, PIL, or (H, W, 3) uint8 RGB array); earlier results stay valid, caches are emptied."""
        self._image = read_image(image)
        self._latents.clear()
        self._passes.clear()

    @property
    def image(self) -> NDArray[np.uint8]:
        """The current image, (H, W, 3) uint8 RGB. Raises InputError before `set_image`."""
        if self._image is None:
            raise InputError("no image was set: call set_image(image) first")
        return self._image

    def segment(
        self,
        classes: Sequence[str | ClassWord] | None = None,
        points: Sequence[Point] | None = None,
        line: Sequence[Point] | None = None,
        box: tuple[float, float, float, float] | None = None,
        mask: NDArray | None = None,
        negative: Sequence[Point] = (),
        trajectory: bool = False,
        **settings: Any,
    ) -> Segmentation:
        """Segment the current image by exactly one kind of prompt.

        Args:
            classes: K words or phrases, each its own label 1..K.
            points: pixels (x, y) of one object.
            line: pixels (x, y) of a polyline through one object.
            box: (x0, y0, x1, y1) in pixels around one object, far edges exclusive.
            mask: (H, W) rough mask of one object.
            negative: with `points`: pixels (x, y) that do not belong to it. Their refined map is subtracted, clamped
                at 0 (an extension of the method).
            trajectory: keep the maps after every iteration.
            settings: any field of `Recipe`, e.g. iterations=5, entropy=0.1, background=0.45.

        A seed never depends on class words: it uses the self-attention of the empty prompt, computed once per image.
        """
        given = {"classes": classes, "points": points, "line": line, "box": box, "mask": mask}
        kinds = [name for name, value in given.items() if value is not None]
        if len(kinds) != 1:
            raise InputError(
                f"{' and '.join(kinds) or 'nothing'} was given: expected exactly one of {', '.join(given)}"
            )
        if negative and points is None:
            raise InputError("negative points were given without points: expected both")
        recipe = self.recipe.changed(**settings)
        if classes is not None:
            return self.solve(self._attend_current(recipe, prompt.class_words(classes)), recipe, trajectory)
        attended = self._attend_current(recipe, [])
        grid, size = attended.grid_size, attended.size
        if points is not None:
            columns = seeds.points(points, size, grid)
        elif line is not None:
            columns = seeds.line(seeds.rasterize(line, size, grid), size, grid)
        elif box is not None:
            columns = seeds.box(box, size, grid)
        else:
            columns = seeds.rough_mask(_same_size(mask, size), grid)
        against = seeds.points(negative, size, grid) if negative else None
        return self.solve_seeds(attended, columns, recipe, kinds[0], trajectory, against)

    def _attend_current(self, recipe: Recipe, words: list[ClassWord]) -> Attended:
        layers = self.components.backbone.layers(recipe)
        text = prompt.build(recipe.prompt, words, recipe.context).text if words else passes.EMPTY
        key = (
            text,
            tuple(words),
            recipe.enhancement if words else 0,
            recipe.resize,
            repr(layers),
            repr(recipe.cross_weights),
        )
        if key not in self._passes:
            if recipe.resize not in self._latents:
                self._latents[recipe.resize] = self.encode([self.image], recipe)
            latents = self._latents[recipe.resize]
            self._passes[key] = self.attend_latents(latents, [words], [self.image.shape[:2]], recipe)[0]
            if len(self._passes) > KEPT_PASSES:
                self._passes.popitem(last=False)
        self._passes.move_to_end(key)
        return self._passes[key]

    def square(self, image: NDArray[np.uint8], recipe: Recipe) -> Tensor:
        """An image (H, W, 3) uint8 -> (3, S, S) float32 in [0, 1] on the CPU, as the encoder takes it. Thread-safe."""
        return passes.square(self.components, image, recipe)

    def encode_squares(self, squares: Sequence[Tensor]) -> Tensor:
        """B squares (3, S, S) of `square` -> latents (B, C, h, w)."""
        return passes.encode(self.components, squares)

    def encode(self, images: Sequence[NDArray[np.uint8]], recipe: Recipe) -> Tensor:
        """B images (H, W, 3) uint8 of any sizes -> latents (B, C, h, w)."""
        return self.encode_squares([self.square(image, recipe) for image in images])

    def attend(
        self, images: Sequence[NDArray[np.uint8]], classes: Sequence[Sequence[str | ClassWord]], **settings: Any
    ) -> list[Attended]:
        """One batched pass over B images (H, W, 3) uint8, each with its own classes."""
        recipe = self.recipe.changed(**settings)
        words = [prompt.class_words(each) for each in classes]
        return self.attend_latents(self.encode(images, recipe), words, [image.shape[:2] for image in images], recipe)

    def attend_latents(
        self, latents: Tensor, words: Sequence[list[ClassWord]], sizes: Sequence[tuple[int, ...]], recipe: Recipe
    ) -> list[Attended]:
        """One batched pass over B encoded images.

        Args:
            latents: (B, C, h, w) of `encode`.
            words: the classes of each image; none for the empty prompt, whose self-attention all seeds share.
            sizes: (H, W) of each image in pixels.
        """
        return passes.attend(self.components, latents, words, sizes, recipe)

    def segment_batch(
        self, images: Sequence[NDArray[np.uint8]], classes: Sequence[Sequence[str | ClassWord]], **settings: Any
    ) -> list[Segmentation]:
        """Segment B images (H, W, 3) uint8, each by its own classes; see `segment`."""
        recipe = self.recipe.changed(**settings)
        return [self.solve(attended, recipe) for attended in self.attend(images, classes, **settings)]


def _same_size(mask: NDArray | None, size: tuple[int, int]) -> NDArray:
    array = np.asarray(mask)
    if array.shape != size:
        raise InputError(f"the seed mask has shape {array.shape}: expected the image's (H, W) = {size}")
    return array
