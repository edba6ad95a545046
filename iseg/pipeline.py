"""ISeg: image -> attention -> masks. It composes the steps of the method and has no maths of its own."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import torch
from numpy.typing import NDArray
from torch import Tensor

from iseg import kinds, prompt, solve
from iseg.backbones.find import find_row
from iseg.backbones.load import load
from iseg.backbones.seam import Backbone
from iseg.errors import InputError, NotFinite
from iseg.files.images import ImageLike, read_image
from iseg.marks import Box, Point
from iseg.recipe import Recipe, load_recipe
from iseg.regions import Regions, RegionSettings, find_regions
from iseg.results import Segmentation
from iseg.settings import parse_settings
from iseg.shared_model import SharedModel, Words
from iseg.state import ImageState


class ISeg(SharedModel):
    """Training-free segmentation of one image at a time (`set_image`, `segment`) or of batches (`segment_batch`).

    Threads may share one: each has its own current image, and they take turns at the model.

    `attend` (of the base) and `solve` are its two halves: what costs a pass, and what a change of settings repeats.
    """

    solve = staticmethod(solve.solve)

    def __init__(self, backbone: Backbone, recipe: Recipe) -> None:
        super().__init__(backbone, recipe)
        self._states: WeakKeyDictionary[threading.Thread, ImageState] = WeakKeyDictionary()

    @classmethod
    def from_pretrained(
        cls,
        model: str | Path = "sd21-base",
        recipe: str | Path | Recipe | None = None,
        device: str | torch.device = "auto",
        dtype: str | torch.dtype = "auto",
        backbone: str | None = None,
        vae: str | Path | None = None,
        size: int | None = None,
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
            size: side in pixels of the square that the model looks at, instead of its own: larger finds smaller things
                in large pictures, and costs time and memory. Recipes are written for the model's own and adapted.

        Raises InputError for a model, recipe, device or size that cannot be used.
        """
        row = find_row(model, backbone)
        if recipe is None:
            recipe = row.own_recipe()
        elif not isinstance(recipe, Recipe):
            recipe = load_recipe(recipe)
        row, recipe = row.fitted(recipe, size)  # what does not fit is found before weights are loaded
        return cls(load(row, device, dtype, vae), recipe)

    def set_image(self, image: ImageLike) -> ImageState:
        """Take an image (path, PIL, or (H, W, 3) uint8 RGB array) as the current one, with nothing computed of it yet.

        What is returned keeps the image's passes: given to `segment` it lets several images be alive at once.
        """
        state = ImageState(read_image(image))
        with self._lock:
            self._states[threading.current_thread()] = state
        return state

    @property
    def image(self) -> ImageState:
        """The current image: the thread's own, or the only one there is. Raises InputError before `set_image`."""
        with self._lock:
            states = list(self._states.values())
            own = self._states.get(threading.current_thread())
        if own is not None:
            return own
        if not states:
            raise InputError("no image was set: call set_image(image) first")
        if len(states) > 1:
            raise InputError("several threads have set images: give the one that is meant, segment(..., image=IMAGE)")
        return states[0]

    def segment(
        self,
        classes: Words | None = None,
        points: Sequence[Point] | None = None,
        line: Sequence[Point] | None = None,
        box: Box | None = None,
        mask: NDArray | None = None,
        boxes: Sequence[Box] | None = None,
        maps: NDArray | Tensor | None = None,
        *,
        negative: Sequence[Point] = (),
        names: Sequence[str] | None = None,
        image: ImageState | None = None,
        trajectory: bool = False,
        **settings: Any,
    ) -> Segmentation:
        """Segment an image by exactly one kind of prompt.

        Args:
            classes: K words or phrases, each its own label 1..K.
            points: pixels (x, y) of one object.
            line: pixels (x, y) of a polyline through one object.
            box: (x0, y0, x1, y1) in pixels around one object, far edges exclusive.
            mask: (H, W) rough mask of one object.
            boxes: K boxes, each its own object and label 1..K.
            maps: (K, h, w) non-negative first maps of any origin, e.g. another model's, each its own label 1..K; of any
                resolution, spread over the whole image.
            negative: with `points`: pixels (x, y) that do not belong to it. Their refined map is subtracted, clamped
                at 0 (an extension of the method).
            names: with `boxes` or `maps`: what the K labels are called.
            image: of an earlier `set_image`; the current one by default.
            trajectory: keep the maps after every iteration.
            settings: any field of `Recipe`, e.g. iterations=5, entropy=0.1, background=0.45.

        A seed never depends on class words: it uses the self-attention of the empty prompt, computed once per image.
        """
        prompts: dict[str, Any] = {
            "classes": classes, "points": points, "line": line, "box": box, "mask": mask, "boxes": boxes, "maps": maps
        }  # fmt: skip
        kind = kinds.one_kind(prompts, negative, names)
        recipe = self.recipe.changed(**settings)
        with self._lock:
            state = image or self.image

            def attempt() -> Segmentation:
                if kind == "classes":
                    attended = self.attend_image(state, recipe, prompt.class_words(prompts[kind]))
                    return solve.solve(attended, recipe, trajectory)
                attended = self.attend_image(state, recipe)
                first = kinds.first_maps(kind, prompts[kind], negative, names, state.size, attended.grid_size)
                return solve.solve_maps(attended, first, recipe, kind, trajectory)

            return self.finite(state, attempt)

    def regions(self, *, image: ImageState | None = None, **settings: Any) -> Regions:
        """Regions of an image without words, by the empty prompt's pass; settings: the fields of `RegionSettings`.

        `Regions.at(coarse)` gives more or fewer of them with no further pass.
        """
        chosen = parse_settings(RegionSettings, settings, "regions")
        with self._lock:
            state = image or self.image

            def attempt() -> Regions:
                attended = self.attend_image(state, self.recipe, every_layer=chosen.reads_every_layer)
                matrix = attended.attention
                if chosen.entropy_weight is not None:
                    matrix = attended.reduced(self.recipe.changed(entropy=chosen.entropy_weight))
                return find_regions(attended.attention, matrix, state.size, chosen)

            return self.finite(state, attempt)

    def segment_batch(
        self, images: Sequence[ImageLike], classes: Sequence[Words], **settings: Any
    ) -> list[Segmentation]:
        """Segment B images (path, PIL, or (H, W, 3) uint8 RGB), each by its own classes; see `segment`."""
        try:
            counts = len(images), len(classes)
        except TypeError:
            raise InputError("images or classes have no length: expected a list of images and one of classes") from None
        if counts[0] != counts[1]:
            raise InputError(f"{counts[0]} images and {counts[1]} lists of classes were given: expected one each")
        recipe = self.recipe.changed(**settings)
        pictures = [read_image(image) for image in images]
        with self._lock:
            results = []
            passes_made = self.attend(pictures, classes, **settings)
            for picture, words, attended in zip(pictures, classes, passes_made, strict=True):
                try:
                    results.append(solve.solve(attended, recipe))
                except NotFinite:
                    results.append(self.segment(words, image=ImageState(picture), **settings))
            return results
