"""CVAT: an interaction function, for an agent: points and a box in, a mask out.

cvat-cli function create-native iseg --function-module iseg.integrations.cvat_clicks
"""

from typing import Any

import numpy as np
from PIL import Image

from iseg.extras import import_extra
from iseg.files.images import read_image
from iseg.integrations.models import load_model
from iseg.pieces import inside_boxes
from iseg.pipeline import ISeg
from iseg.state import ImageState

annotation = import_extra("cvat_sdk.auto_annotation", "cvat", "CVAT")
models = import_extra("cvat_sdk.models", "cvat", "CVAT")
masks = import_extra("cvat_sdk.masks", "cvat", "CVAT")


def create(model: str = "", recipe: str = "", device: str = "auto", dtype: str = "auto") -> "Clicker":
    """The function; see `load_model` for its settings ("" = default)."""
    return Clicker(load_model(model or None, recipe or None, device, dtype))


class Clicker:
    """An interaction function of CVAT: points decide, or without any a box; a box beside points bounds the mask."""

    def __init__(self, model: ISeg) -> None:
        self.model = model
        self.spec = annotation.InteractionFunctionSpec(min_pos_points=0, min_neg_points=0, min_bounding_boxes=0)

    def preprocess_image(self, context: Any, image: Image.Image) -> ImageState:
        """An image with what is kept of it: its pass is recorded at the first prompt."""
        return ImageState(read_image(image))

    def detect(self, context: Any, pp_image: ImageState, prompts: Any) -> list[Any]:
        """One `InteractionResultShape` of type mask with its mean score; none where nothing was found."""
        box = [value for corner in prompts.bounding_box or () for value in corner]
        points, negative = list(prompts.pos_points), list(prompts.neg_points)
        if points:
            result = self.model.segment(points=points, negative=negative, image=pp_image)
        elif box:
            result = self.model.segment(box=(box[0], box[1], box[2], box[3]), image=pp_image)
        else:
            return []
        shapes = []
        for _, region, score in result.each_found():
            if points and box:
                region = region & (inside_boxes(region.shape, [(box[0], box[1], box[2], box[3])]) > 0)
            if np.any(region):
                sure = models.AttributeValRequest(annotation.InteractionResultAttributes.CONFIDENCE, f"{score:.6f}")
                points_ = masks.encode_mask(region)
                shapes.append(annotation.InteractionResultShape(type="mask", points=points_, attributes=[sure]))
        return shapes
