"""One image's self-attention -> regions, by a method and a degree of coarseness."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from iseg import masks
from iseg.finite import check_finite, finite_array
from iseg.regions.cut import FINEST, CutTree, affinity, cut_tree
from iseg.regions.features import place_features, pool_grid, spread_anchors, unit_roots
from iseg.regions.merge import merge_proposals
from iseg.regions.settings import RegionSettings

CUT_SIDE = 32  # grid of DiffCut's features; finer attention is averaged to it
ROW_SUM = 1e-5  # rows whose sums are closer to 1 than this stay as they are


@dataclass
class Regions:
    """Regions of one image, numbered by size, the largest first.

    Attributes:
        labels: (H, W) int32, 0..K - 1 at the image's size; every pixel belongs to a region.
        scores: (K,) float32 in [0, 1]: the share of its places' self-attention that stays within the region.
        maps: (K, h, w) float32, how well each region explains each place of the grid; the label is the largest.
        method, coarse: that made them.
    """

    labels: NDArray[np.int32]
    scores: NDArray[np.float32]
    maps: NDArray[np.float32]
    method: str
    coarse: float
    _source: "_Merged | _Cut" = field(repr=False)

    def at(self, coarse: float) -> "Regions":
        """The regions for another coarseness in [0, 1], from the same pass and, with cut and ours, the same cuts."""
        RegionSettings(coarse=coarse)
        return _conclude(self._source, (self.labels.shape[0], self.labels.shape[1]), self.method, coarse)

    @property
    def nbytes(self) -> int:
        """Bytes held beside the pass that the regions came of."""
        own = self.labels.nbytes + self.scores.nbytes + self.maps.nbytes
        return own + (self._source.features.nbytes if isinstance(self._source, _Cut) else 0)

    def each_mask(self) -> Iterator[NDArray[np.bool_]]:
        """The K masks (H, W), one at a time."""
        return (self.labels == k for k in range(len(self.scores)))


@dataclass(frozen=True)
class _Merged:
    """What merging needs: attention (HW, HW) with rows that sum to 1, the matrix that it works on, its anchors."""

    attention: Tensor
    matrix: Tensor
    anchors: Tensor

    def maps(self, coarse: float) -> Tensor:
        """(K, HW) proposals."""
        return merge_proposals(self.matrix, self.anchors, 2 * coarse)


@dataclass
class _Cut:
    """What cuts need: attention (HW, HW), features of all places (HW, D) and of the nodes (n, D).

    The splits are kept, and made anew only where finer ones are asked for than before.
    """

    attention: Tensor
    features: Tensor
    nodes: Tensor
    tree: CutTree | None = None
    limit: float = 0.0

    def maps(self, coarse: float) -> Tensor:
        """(K, HW) cosine of every place to the mean of each set of nodes."""
        limit = min(1 - coarse, FINEST)
        if self.tree is None or limit > self.limit:
            self.tree, self.limit = cut_tree(affinity(self.nodes), limit), limit
        labels = self.tree.labels(limit).to(self.nodes.device)
        means = F.normalize(F.one_hot(labels).T.to(self.nodes.dtype) @ self.nodes, dim=1)
        return means @ self.features.T


@torch.inference_mode()
def find_regions(attention: Tensor, matrix: Tensor, size: tuple[int, int], settings: RegionSettings) -> Regions:
    """Regions of an image.

    Args:
        attention: (HW, HW) self-attention as recorded, rows = queries.
        matrix: what the method works on: `refine.reduce_entropy` of it with `settings.entropy_weight`, or the
            attention itself.
        size: (H, W) of the image.
        settings: see `RegionSettings`.

    Raises NotFinite for attention with NaN or infinity.
    """
    recorded, attention = attention, _stochastic(attention)
    if matrix.layout != torch.sparse_csr:
        matrix = attention if matrix is recorded else _stochastic(matrix)
    side = round(attention.shape[0] ** 0.5)
    anchors = spread_anchors(side, settings.anchors).to(attention.device)
    source: _Merged | _Cut
    if settings.method == "ours":
        features = place_features(matrix, anchors, settings.products)
        source = _Cut(attention, features, features[anchors])
    else:
        dense = matrix.to_dense() if matrix.layout == torch.sparse_csr else matrix
        dense = torch.linalg.matrix_power(dense, settings.products)
        if settings.method == "merge":
            source = _Merged(attention, dense, anchors)
        else:
            source = _Cut(attention, unit_roots(dense), unit_roots(pool_grid(dense, CUT_SIDE)))
    return _conclude(source, size, settings.method, settings.coarse)


def _stochastic(matrix: Tensor) -> Tensor:
    """Rows (n, n) divided by their sums; the matrix itself where they are 1. NotFinite for NaN or infinity."""
    total = matrix.sum(1, keepdim=True)  # not finite where a value is not: the values are not negative
    check_finite(total)
    if float((total - 1).abs().amax()) < ROW_SUM:
        return matrix
    return matrix / torch.where(total > 0, total, torch.ones_like(total))


@torch.inference_mode()
def _conclude(source: _Merged | _Cut, size: tuple[int, int], method: str, coarse: float) -> Regions:
    """Maps -> labels at image size, those without a pixel left out, the largest first."""
    maps = source.maps(coarse).float()
    side = round(maps.shape[1] ** 0.5)
    grids = maps.unflatten(1, (side, side))
    found = _largest(grids, size)
    sizes = found.flatten().bincount(minlength=len(maps))
    kept = sizes.argsort(descending=True, stable=True)[: int(sizes.count_nonzero())]
    place = torch.zeros(len(maps), dtype=torch.int32, device=maps.device)
    place[kept] = torch.arange(len(kept), dtype=torch.int32, device=maps.device)
    scores = _cohesion(source.attention, maps.argmax(0), kept)
    return Regions(
        labels=place[found].cpu().numpy(),
        scores=scores.float().cpu().numpy(),
        maps=finite_array(grids[kept]),
        method=method,
        coarse=coarse,
        _source=source,
    )


def _largest(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """(K, h, w) -> (H, W) int64, the largest map after a bilinear resize of one map at a time; of equals the first."""
    best = masks.resize(maps[:1], size)[0]
    labels = torch.zeros(size, dtype=torch.long, device=maps.device)
    for index in range(1, len(maps)):
        score = masks.resize(maps[index : index + 1], size)[0]
        labels.masked_fill_(score > best, index)
        best = torch.maximum(best, score)
    return labels


def _cohesion(attention: Tensor, labels: Tensor, kept: Tensor) -> Tensor:
    """Mean share (K,) of the attention of a region's places (HW,) that stays in it; 0 for one without a place."""
    members = (labels[:, None] == kept).to(attention.dtype)  # (HW, K)
    inside = ((attention @ members) * members).sum(0)
    return (inside / members.sum(0).clamp_min(1)).clamp(0, 1)
