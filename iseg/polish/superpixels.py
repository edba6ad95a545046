"""Scores averaged over superpixels (SLIC, Achanta et al. 2012), by scikit-image."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from iseg.extras import import_extra

PIXELS_PER_SEGMENT = 400
COMPACTNESS = 10.0


def superpixels(maps: Tensor, picture: Tensor) -> Tensor:
    """Maps (K, H, W) -> (K, H, W) float32: each pixel gets the mean over its superpixel of the picture (3, H, W).

    Raises InputError where scikit-image is missing.
    """
    segmentation = import_extra("skimage.segmentation", "polish", "the step superpixels")
    colours = picture.permute(1, 2, 0).cpu().numpy()
    count = max(2, colours.shape[0] * colours.shape[1] // PIXELS_PER_SEGMENT)
    labels = segmentation.slic(colours, n_segments=count, compactness=COMPACTNESS, start_label=0)
    return region_means(maps, labels)


def region_means(maps: Tensor, labels: NDArray[np.integer]) -> Tensor:
    """Maps (K, H, W) -> (K, H, W) float32, each pixel the mean of its region; labels (H, W) >= 0 name the regions."""
    regions = torch.from_numpy(np.ascontiguousarray(labels)).long().to(maps.device).flatten()
    flat = maps.flatten(1).double()
    sums = flat.new_zeros((len(maps), int(regions.max()) + 1)).index_add_(1, regions, flat)
    sizes = torch.bincount(regions, minlength=sums.shape[1]).clamp_min(1)
    return (sums / sizes)[:, regions].reshape(maps.shape).float()
