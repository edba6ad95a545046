"""CVAT: an auto-annotation function, for `cvat-cli task auto-annotate` and as an agent.

cvat-cli task auto-annotate 12 --function-module iseg.integrations.cvat -p task=int:12
"""

import os
from typing import Any

import numpy as np
from PIL import Image

from iseg.errors import InputError, echo
from iseg.extras import import_extra
from iseg.integrations.models import load_model
from iseg.page.annotate import polygons
from iseg.pipeline import ISeg

annotation = import_extra("cvat_sdk.auto_annotation", "cvat", "CVAT")
masks = import_extra("cvat_sdk.masks", "cvat", "CVAT")

KINDS = (("mask", "any"), ("polygon",))  # of labels that a mask can go to; the latter with --conv-mask-to-poly


def create(
    labels: str = "",
    task: int = 0,
    server: str = "",
    model: str = "",
    recipe: str = "",
    device: str = "auto",
    dtype: str = "auto",
) -> "Detector":
    """The detection function that CVAT calls with each image: a label is a word, its region a mask.

    Args:
        labels: "bus; cat", names of labels in CVAT; or
        task: id of a task whose labels are taken, asked of the server with the credentials that cvat-cli uses
            (CVAT_ACCESS_TOKEN or a stored profile).
        server: address of CVAT; by default $CVAT_SERVER, the profile's, or http://localhost.
        model: tiny, sd21-base, a folder, file or hub id; by default sd21-base if its weights are at hand, else tiny.
        recipe, device, dtype: as for `ISeg.from_pretrained`.

    Raises InputError unless it is given labels or a task that has some.
    """
    names = [name.strip() for name in labels.split(";") if name.strip()]
    if bool(names) == bool(task):
        raise InputError("labels and task: expected one, e.g. -p labels=str:'bus; cat' or -p task=int:12")
    names = names or labels_of(task, server)
    if len(set(names)) < len(names):
        raise InputError(f"labels are {echo(labels)}: expected each once")
    return Detector(load_model(model or None, recipe or None, device, dtype), names)


def labels_of(task: int, server: str = "") -> list[str]:
    """Names of a task's labels that masks can go to. Raises InputError for a task without one."""
    auth = import_extra("cvat_sdk.core.auth", "cvat", "CVAT")
    host = server or os.environ.get("CVAT_SERVER") or None
    with auth.make_client_from_cli(auth.ClientAuthParameters(server_host=host)) as client:
        found = client.tasks.retrieve(task).get_labels()
    for kinds in KINDS:
        names = [label.name for label in found if label.type in kinds]
        if names:
            return names
    raise InputError(f"task {task} has no label for masks: expected one of type mask, any or polygon")


class Detector:
    """A detection function of CVAT. `spec` holds its labels, each of type mask with its place as id."""

    def __init__(self, model: ISeg, names: list[str]) -> None:
        self.model, self.names = model, names
        labels = [annotation.label_spec(name, k, type="mask") for k, name in enumerate(names)]
        self.spec = annotation.DetectionFunctionSpec(labels=labels)

    def detect(self, context: Any, image: Image.Image) -> list[Any]:
        """An image -> a `LabeledShapeRequest` for each label that has a pixel.

        Masks, or polygons where the context (`DetectionFunctionContext`) asks for them; those whose mean score is below
        its threshold are left out.
        """
        state = self.model.set_image(image)
        shapes = []
        for k, region, score in self.model.segment(self.names, image=state).each_found():
            if score < (context.conf_threshold or 0):
                continue
            if context.conv_mask_to_poly:
                outlines = polygons(region.view(np.uint8))
                shapes += [annotation.polygon(k, outline.ravel().tolist()) for outline in outlines]
            else:
                shapes.append(annotation.mask(k, masks.encode_mask(region)))
        return shapes
