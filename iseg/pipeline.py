"""ISeg: image -> attention -> masks. It composes the steps of the method and has no maths of its own."""

from collections import OrderedDict
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from iseg import cross, masks, prompt, refine, seeds
from iseg.attention import AttentionRecord, Layers
from iseg.backbone import Components, load
from iseg.config import Recipe, load_recipe
from iseg.errors import InputError
from iseg.images import ImageLike, read_image, to_square
from iseg.prompt import ClassWord
from iseg.results import Attended, Segmentation
from iseg.seeds import Point
from iseg.weights import find_backbone

EMPTY = " "  # the prompt whose self-attention all seeds share
KEPT_PASSES = 2  # recorded passes kept per image: the empty prompt's and the last text's


class ISeg:
    """Training-free segmentation of one image at a time (`set_image`, `segment`) or of batches (`segment_batch`).

    Not thread-safe: one caller at a time.
    """

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
    ) -> "ISeg":
        """Load a model.

        Args:
            model: a backbone of the table ("sd21-base", "tiny"), a diffusers folder, a `.safetensors` file, a hub id.
            recipe: a configuration with a `recipe:` section ("wsss/voc" or a path), or a `Recipe`; by default the
                interactive settings of the backbone.
            device: "auto" (cuda, mps, cpu) or a torch device.
            dtype: "auto" (float16 on cuda, else float32), "float32", "float16", "bfloat16".
            backbone: row of the table whose layers fit a folder, file or hub id ("sd21-base" by default).

        Raises InputError for a model, recipe or device that cannot be used.
        """
        row = find_backbone(model, backbone)
        if recipe is None:
            recipe = Recipe().changed(**row.recipe)
        elif not isinstance(recipe, Recipe):
            recipe = load_recipe(recipe)
        row.layers(recipe)  # a recipe that does not fit is found before weights are loaded
        return cls(load(row, device, dtype), recipe)

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
            return self.solve(self._attend_current(recipe, class_words(classes)), recipe, trajectory)
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
        text = prompt.build(recipe.prompt, words, recipe.context).text if words else EMPTY
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
            self._passes[key] = self._attend(latents, [words], [self.image.shape[:2]], recipe)[0]
            if len(self._passes) > KEPT_PASSES:
                self._passes.popitem(last=False)
        self._passes.move_to_end(key)
        return self._passes[key]

    @torch.inference_mode()
    def encode(self, images: Sequence[NDArray[np.uint8]], recipe: Recipe) -> Tensor:
        """B images (H, W, 3) uint8 of any sizes -> latents (B, C, h, w)."""
        side = self.components.backbone.image_size
        return self.components.encode(torch.stack([to_square(image, side, recipe.resize) for image in images]))

    def attend(
        self, images: Sequence[NDArray[np.uint8]], classes: Sequence[Sequence[str | ClassWord]], **settings: Any
    ) -> list[Attended]:
        """One batched pass over B images (H, W, 3) uint8, each with its own classes."""
        recipe = self.recipe.changed(**settings)
        words = [class_words(each) for each in classes]
        return self._attend(self.encode(images, recipe), words, [image.shape[:2] for image in images], recipe)

    def attend_encoded(
        self, latents: Tensor, size: tuple[int, int], classes: Sequence[str | ClassWord] = (), **settings: Any
    ) -> Attended:
        """One pass over one encoded image.

        Args:
            latents: (1, C, h, w) of `encode`.
            size: (H, W) of the image in pixels.
            classes: K words or phrases; none for the empty prompt, whose self-attention all seeds share.
            settings: any field of `Recipe`.
        """
        words = class_words(classes) if classes else []
        return self._attend(latents, [words], [size], self.recipe.changed(**settings))[0]

    def segment_batch(
        self, images: Sequence[NDArray[np.uint8]], classes: Sequence[Sequence[str | ClassWord]], **settings: Any
    ) -> list[Segmentation]:
        """Segment B images (H, W, 3) uint8, each by its own classes; see `segment`."""
        recipe = self.recipe.changed(**settings)
        return [self.solve(attended, recipe) for attended in self.attend(images, classes, **settings)]

    def _attend(
        self, latents: Tensor, words: Sequence[list[ClassWord]], sizes: Sequence[tuple[int, ...]], recipe: Recipe
    ) -> list[Attended]:
        """One pass per image, or several where its classes do not fit into one prompt."""
        tokenizer = self.components.tokenizer
        groups = [prompt.split(tokenizer, recipe.prompt, each, recipe.context) or [[]] for each in words]
        owners = [b for b, parts in enumerate(groups) for _ in parts]
        passes = self._pass(latents[owners], list(chain(*groups)), [sizes[b] for b in owners], recipe)
        firsts = [owners.index(b) for b in range(len(words))]
        for first, parts in zip(firsts, groups, strict=True):
            passes[first].further = passes[first + 1 : first + len(parts)]
        return [passes[first] for first in firsts]

    @torch.inference_mode()
    def _pass(
        self, latents: Tensor, words: Sequence[list[ClassWord]], sizes: Sequence[tuple[int, ...]], recipe: Recipe
    ) -> list[Attended]:
        parts = self.components
        layers = parts.backbone.layers(recipe)
        if not any(words):  # the empty prompt is asked for its self-attention only
            layers = Layers({}, layers.self)
        embedded = [self._embed(each, recipe) for each in words]
        embeddings = torch.stack([embedding for embedding, _ in embedded])
        with AttentionRecord(parts.unet, layers) as record:
            record.run(parts.add_noise(latents), parts.backbone.timestep, embeddings)
        cross_maps, self_maps = record.cross, record.self
        attended = []
        for b, (each, (_, spans)) in enumerate(zip(words, embedded, strict=True)):
            assert self_maps is not None  # every recipe records some self-attention
            attention = self_maps[b]
            side = round(attention.shape[0] ** 0.5)
            one = {r: maps[b : b + 1] for r, maps in cross_maps.items()}  # the mean head of each resolution
            token_maps = cross.fuse(one, recipe.cross_weights, size=side) if one else None
            names = [word.word for word in each]
            attended.append(Attended(token_maps, attention, spans, names, (sizes[b][0], sizes[b][1])))
        return attended

    def _embed(self, words: list[ClassWord], recipe: Recipe) -> tuple[Tensor, list[list[int]]]:
        """Enhanced embeddings (L, D) of the prompt for some classes, and the token span of each."""
        self.components.backbone.check_words(word.word for word in words)
        text = prompt.build(recipe.prompt, words, recipe.context) if words else prompt.Prompt(EMPTY, ())
        ids, spans = prompt.tokenize(self.components.tokenizer, text, words)
        return prompt.enhance(self.components.embed(ids), spans, recipe.enhancement), spans

    def solve(self, attended: Attended, recipe: Recipe, trajectory: bool = False) -> Segmentation:
        """Cluster, refine and decide: class maps of a recorded pass -> masks, without another UNet pass."""
        groups = [part.names for part in (attended, *attended.further)]
        steps = self.refine_classes(attended, recipe)
        result = self._finish(attended, steps, recipe, list(chain(*groups)), trajectory)
        result.groups = groups
        return result

    def solve_seeds(
        self,
        attended: Attended,
        columns: Tensor,
        recipe: Recipe,
        name: str,
        trajectory: bool = False,
        negative: Tensor | None = None,
    ) -> Segmentation:
        """Refine the seed columns (HW, K) of one object, each apart; merge, subtract the `negative` ones, decide."""
        steps = self.refine_seeds(attended, columns, recipe, negative)
        return self._finish(attended, steps, recipe, [name], trajectory)

    @torch.inference_mode()
    def refine_classes(self, attended: Attended, recipe: Recipe) -> Tensor:
        """The maps (N + 1, HW, K) of all classes after 0..N iterations, refined by their own pass's attention."""
        if attended.token_maps is None:
            raise ValueError("this pass recorded no cross-attention: it must be made with classes")
        dtype = torch.float16 if recipe.cluster_dtype == "float16" else torch.float64
        columns = cross.class_maps(
            attended.token_maps, attended.spans, recipe.cluster, recipe.cluster_rounds, recipe.cluster_stride, dtype
        )
        steps = refine.refine(attended.reduced(recipe), columns, recipe.iterations, trajectory=True)
        return torch.cat([steps, *(self.refine_classes(part, recipe) for part in attended.further)], 2)

    @torch.inference_mode()
    def refine_seeds(
        self, attended: Attended, columns: Tensor, recipe: Recipe, negative: Tensor | None = None
    ) -> Tensor:
        """The merged map (N + 1, HW, 1) of one object's seed columns (HW, K) after 0..N iterations.

        The refined and merged `negative` columns (HW, K'), if any, are subtracted, clamped at 0.
        """
        matrix = attended.reduced(recipe)
        steps = seeds.merge(refine.refine(matrix, columns.to(matrix), recipe.iterations, trajectory=True))
        if negative is None:
            return steps
        against = seeds.merge(refine.refine(matrix, negative.to(matrix), recipe.iterations, trajectory=True))
        return (steps - against).clamp_min(0)

    def _finish(
        self, attended: Attended, steps: Tensor, recipe: Recipe, names: list[str], trajectory: bool
    ) -> Segmentation:
        """Maps after 0..N iterations (N + 1, HW, K) -> scores, labels and arrays."""
        scores = masks.score_maps(steps[-1], attended.size, recipe.working_size)
        labels = masks.label_map(
            scores, range(1, len(names) + 1), recipe.background, rescale=recipe.working_size is not None
        )
        grids = steps.transpose(1, 2).unflatten(2, (attended.grid_size, attended.grid_size)).float().cpu().numpy()
        return Segmentation(
            mask=labels.to(torch.uint8).cpu().numpy(),
            scores=scores.cpu().numpy(),
            names=names,
            seeds=grids[0],
            maps=grids[-1],
            trajectory=grids if trajectory else None,
        )


def class_words(classes: Sequence[str | ClassWord]) -> list[ClassWord]:
    """Words or phrases as `ClassWord`s. Raises InputError for an empty list."""
    if isinstance(classes, str):
        raise InputError(f"classes is the text {classes!r}: expected a list of words, e.g. ['dog', 'sofa']")
    words = [entry if isinstance(entry, ClassWord) else ClassWord(entry) for entry in classes]
    if not words:
        raise InputError("no class was given: expected at least one class word")
    return words


def _same_size(mask: NDArray | None, size: tuple[int, int]) -> NDArray:
    array = np.asarray(mask)
    if array.shape != size:
        raise InputError(f"the seed mask has shape {array.shape}: expected the image's (H, W) = {size}")
    return array
