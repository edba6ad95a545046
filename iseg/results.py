"""What a pass leaves behind (`Attended`) and what a prompt gives (`Segmentation`)."""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from iseg import masks, refine
from iseg.extras import import_extra
from iseg.markov import Chain, MarkovMaps
from iseg.recipe import Recipe
from iseg.upsample import small_picture, upsampling_stride

if TYPE_CHECKING:
    import supervision

KEPT_MATRICES = 3  # entropy-reduced matrices kept per pass


@dataclass
class Segmentation:
    """What `ISeg.segment` returns.

    Attributes:
        mask: (H, W) uint8 labels at the image's size, 0 = background, k + 1 = k-th class (or object) of the call.
        names: the K class words or names of what was given; one of "points", "line", "box", "mask" for a single seed.
        seeds: (K, h, w) float32, the maps before refinement at grid size.
        maps: (K, h, w) float32, the refined maps at grid size; each sums to 1.
        working_size: of the recipe; how maps become scores.
        trajectory: (N + 1, K, h, w) float32, the maps after 0..N iterations; None unless asked for.
        fine: (K, h', w') float32 in [0, 1], the scores at the size at which they were decided on; None where `maps` are
            scaled up as they are.
        groups: the class words of each pass, in the order of `names`; one pass where they fit into one prompt.
    """

    mask: NDArray[np.uint8]
    names: list[str]
    seeds: NDArray[np.float32]
    maps: NDArray[np.float32]
    working_size: int | None = None
    trajectory: NDArray[np.float32] | None = None
    groups: list[list[str]] = field(default_factory=list)
    fine: NDArray[np.float32] | None = None

    def each_score(self) -> Iterator[NDArray[np.float32]]:
        """The K score maps (H, W) float32 in [0, 1] at the image's size, one at a time."""
        if self.fine is not None:
            height, width = self.mask.shape
            return (masks.resize(torch.from_numpy(one[None]), (height, width))[0].numpy() for one in self.fine)
        columns = torch.from_numpy(self.maps).flatten(1).T  # (HW, K)
        size = (self.mask.shape[0], self.mask.shape[1])
        return (score.numpy() for score in masks.each_score(columns, size, self.working_size))

    @cached_property
    def scores(self) -> NDArray[np.float32]:
        """(K, H, W) float32 in [0, 1]; made when asked for, since a large image pays 4 bytes a pixel for each class."""
        return np.stack(list(self.each_score())) if len(self.maps) else np.zeros((0, *self.mask.shape), np.float32)

    def each_found(self) -> Iterator[tuple[int, NDArray[np.bool_], float]]:
        """The labels that have a pixel: k of the k-th name, its region (H, W), the mean score of the region."""
        for k, score in enumerate(self.each_score()):
            region = self.mask == k + 1
            if region.any():
                yield k, region, float(score[region].mean())

    def to_detections(self) -> "supervision.Detections":
        """The N labels that have a pixel, as Roboflow's `supervision.Detections` (extra `supervision`).

        mask (N, H, W) bool; xyxy (N, 4) in pixels, far edges exclusive; class_id (N,): k of the k-th name; confidence
        (N,): the mean score of the mask's pixels; data["class_name"]: the names. Raises InputError without the package.
        """
        supervision = import_extra("supervision", "supervision", "to_detections")
        found = list(self.each_found())
        if not found:
            return supervision.Detections.empty()
        regions = np.stack([region for _, region, _ in found])
        boxes = [[c.min(), r.min(), c.max() + 1, r.max() + 1] for r, c in map(np.nonzero, regions)]
        return supervision.Detections(
            xyxy=np.array(boxes, np.float32),
            mask=regions,
            class_id=np.array([k for k, _, _ in found]),
            confidence=np.array([score for _, _, score in found], np.float32),
            data={"class_name": np.array([self.names[k] for k, _, _ in found])},
        )


@dataclass
class Attended:
    """One image's recorded pass: all that `solve` needs, so that settings can change without another pass.

    Attributes:
        token_maps: (L, S, S) fused cross-attention; None for a pass that recorded self-attention only.
        attention: (HW, HW) self-attention, rows = queries.
        spans: token indices of each class; names: the classes; size: (H, W) of the image in pixels.
        further: passes of the classes that did not fit into this one's prompt.
        picture: (H, W, 3) uint8 RGB, for decisions that look at it.
    """

    token_maps: Tensor | None
    attention: Tensor
    spans: list[list[int]]
    names: list[str]
    size: tuple[int, int]
    further: list["Attended"] = field(default_factory=list)
    picture: NDArray[np.uint8] | None = field(default=None, repr=False)
    _reduced: OrderedDict[tuple, Tensor] = field(default_factory=OrderedDict, repr=False)
    _spare: Tensor | None = field(default=None, repr=False)  # memory for the next matrix
    _guide: dict[int, Tensor] = field(default_factory=dict, repr=False)  # of the last two sizes
    _chain: Chain | None = field(default=None, repr=False)
    _markov: dict[tuple, MarkovMaps] = field(default_factory=dict, repr=False)  # of the last settings

    @property
    def grid_size(self) -> int:
        return round(self.attention.shape[0] ** 0.5)

    @property
    def nbytes(self) -> int:
        """Bytes that this pass keeps in memory, the entropy-reduced matrices made so far included."""
        kept = [self.attention, *self._reduced.values(), self.token_maps, self._spare, *self._guide.values()]
        total = sum(map(held_bytes, kept)) + sum(each.nbytes for each in self.further)
        total += sum(each.nbytes for each in self._markov.values())
        return total + (self._chain.nbytes if self._chain else 0)

    def guide(self, longest: int) -> Tensor:
        """The picture (3, h, w) in [0, 1], at most `longest` pixels long, where the attention is."""
        if longest not in self._guide:
            if self.picture is None:
                raise ValueError("this pass has no picture: set Attended.picture to decide along its edges")
            unit = torch.tensor(self.picture).permute(2, 0, 1).to(self.attention.device).float() / 255  # read-only, too
            last = list(self._guide.items())[-1:]
            self._guide = dict([*last, (longest, small_picture(unit, longest).contiguous())])
        return self._guide[longest]

    def markov(self, recipe: Recipe) -> MarkovMaps:
        """The chain of this pass's attention and the distance maps of clicks; see `MarkovMaps`."""
        key = (recipe.decision_size, recipe.upsample_cells, recipe.upsample_range)
        if key not in self._markov:
            guide = self.guide(recipe.decision_size)
            stride = upsampling_stride(guide, self.grid_size, recipe.upsample_cells)
            self._chain = self._chain or Chain(self.attention)
            made = MarkovMaps(self._chain, guide, None, recipe.upsample_cells, recipe.upsample_range, stride)
            self._markov = {key: made}
        return self._markov[key]

    def reduced(self, recipe: Recipe) -> Tensor:
        """The entropy-reduced matrix (HW, HW) of a recipe, without its zeros where there are many (`refine.compact`).

        The last few are kept. Then the oldest gives its memory to the new one: fresh memory would cost more time than
        the reduction, since the system hands it out page by page.
        """
        key = (recipe.entropy, recipe.entropy_clamp_max, recipe.entropy_normalize_rows)
        if key not in self._reduced:
            if len(self._reduced) >= KEPT_MATRICES:
                oldest = self._reduced.popitem(last=False)[1]
                self._spare = oldest if oldest.layout == torch.strided else self._spare
            reduced = refine.reduce_entropy(
                self.attention, recipe.entropy, recipe.entropy_clamp_max, recipe.entropy_normalize_rows, self._spare
            )
            self._reduced[key] = refine.compact(reduced)
            self._spare = None if self._reduced[key] is reduced else reduced
        self._reduced.move_to_end(key)
        return self._reduced[key]


def held_bytes(tensor: Tensor | None) -> int:
    """Bytes in memory of a tensor, dense or sparse (CSR); none for None."""
    if tensor is None:
        return 0
    if tensor.layout == torch.sparse_csr:
        return sum(map(held_bytes, (tensor.values(), tensor.col_indices(), tensor.crow_indices())))
    return tensor.nbytes
