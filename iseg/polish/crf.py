"""Dense conditional random field (Krähenbühl and Koltun 2011), by pydensecrf2."""

import numpy as np
import torch
from torch import Tensor

from iseg.extras import import_extra

ITERATIONS = 10
SMOOTH_SIGMA, SMOOTH_WEIGHT = 3, 3  # pixels
COLOUR_SIGMA, COLOUR_RANGE, COLOUR_WEIGHT = 80, 13, 10  # pixels, grey levels: the settings of DeepLab
LEAST = 1e-5  # probability


def crf(maps: Tensor, picture: Tensor, iterations: int = ITERATIONS) -> Tensor:
    """Maps (K, H, W) >= 0 -> probabilities (K, H, W) float32 that sum to 1 over K.

    Args:
        maps: the scores of the background and the classes; each pixel's are divided by their sum.
        picture: (3, H, W) RGB in [0, 1].

    Raises InputError where pydensecrf2 is missing.
    """
    dense = import_extra("pydensecrf.densecrf", "polish", "the step crf")
    utils = import_extra("pydensecrf.utils", "polish", "the step crf")
    count, height, width = maps.shape
    if count == 1:  # nothing competes
        return torch.ones_like(maps, dtype=torch.float32)
    positive = maps.float().clamp_min(LEAST).cpu()
    shares = (positive / positive.sum(0)).numpy()
    field = dense.DenseCRF2D(width, height, count)
    field.setUnaryEnergy(np.ascontiguousarray(utils.unary_from_softmax(shares)))
    field.addPairwiseGaussian(sxy=SMOOTH_SIGMA, compat=SMOOTH_WEIGHT)
    colours = np.ascontiguousarray((picture.permute(1, 2, 0) * 255).round().to(torch.uint8).cpu().numpy())
    field.addPairwiseBilateral(sxy=COLOUR_SIGMA, srgb=COLOUR_RANGE, rgbim=colours, compat=COLOUR_WEIGHT)
    inferred = np.array(field.inference(iterations), np.float32).reshape(count, height, width)
    return torch.from_numpy(inferred).to(maps.device)
