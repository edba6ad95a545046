"""Runs in CVAT's environment: its own loader, drivers and types with our functions; what comes out goes to a file.

python cvat_driver.py IMAGE OUT.npz
"""

import logging
import sys
from contextlib import contextmanager
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest
from cvat_cli._internal.agent import get_function_driver_class
from cvat_cli._internal.agent_driver_interaction import _InteractionPromptsImpl
from cvat_cli._internal.common import FunctionLoader
from cvat_sdk import models
from cvat_sdk.auto_annotation import BadFunctionError, driver
from cvat_sdk.core import auth
from cvat_sdk.masks import decode_mask
from PIL import Image

IMAGE = Image.open(sys.argv[1])
SIZE = {"image_width": IMAGE.width, "image_height": IMAGE.height}


def labels(*kinds):
    return [
        models.Label(id=number, name=name, type=kind, attributes=[], sublabels=[])
        for number, name, kind in zip((70, 50, 90), ("cat", "bus", "frame"), kinds, strict=False)
    ]


LABELS = labels("mask", "any", "rectangle")


def load(module, **parameters):
    return FunctionLoader(f"iseg.integrations.{module}", None, {"model": "tiny", "device": "cpu", **parameters}).load()


def annotate(function, own=LABELS, **options):
    """The request that CVAT's local driver would upload for a task of one image."""
    sample = SimpleNamespace(frame_name="a.jpg", frame_index=3, media=SimpleNamespace(load_image=lambda: IMAGE))
    client = SimpleNamespace(logger=logging.getLogger("cvat"), tasks=SimpleNamespace(api=mock.Mock()))
    task = SimpleNamespace(labels=own, samples=[sample])
    with mock.patch.object(driver, "TaskDataset", return_value=task):
        driver.annotate_task(client, 12, function, clear_existing=True, **options)
    return client.tasks.api.update_annotations.call_args.kwargs["labeled_data_request"]


@contextmanager
def client_of_a_task(parameters):
    assert parameters.server_host == "http://cvat.example"
    yield SimpleNamespace(
        tasks=SimpleNamespace(retrieve=lambda number: {12: SimpleNamespace(get_labels=lambda: LABELS)}[number])
    )


def decoded(shape):
    return decode_mask(shape.points, **SIZE)


def detections(out):
    with mock.patch.object(auth, "make_client_from_cli", client_of_a_task):
        function = load("cvat", task=12, server="http://cvat.example")
    assert function.names == ["cat", "bus"]  # the rectangle's label takes no mask
    request = annotate(function)
    assert [shape.frame for shape in request.shapes] == [3, 3]
    assert {shape.type.value for shape in request.shapes} == {"mask"}
    for shape in request.shapes:
        out[f"task_{shape.label_id}"] = decoded(shape)
    polygons = annotate(load("cvat", labels="cat; bus"), labels("polygon", "any"), conv_mask_to_poly=True)
    assert {shape.type.value for shape in polygons.shapes} == {"polygon"}
    for k, shape in enumerate(polygons.shapes):
        out[f"polygon_{shape.label_id}_{k}"] = np.array(shape.points)
    assert not annotate(function, conf_threshold=0.9999).shapes
    with pytest.raises(BadFunctionError, match="'car' is not in dataset"):
        annotate(load("cvat", labels="cat; car"))
    remote = get_function_driver_class(function.spec).get_remote_function_fields(function.spec)
    assert [(label["name"], label["type"]) for label in remote["labels_v2"]] == [("cat", "mask"), ("bus", "mask")]


def clicks(out):
    function = load("cvat_clicks")
    assert get_function_driver_class(function.spec).FUNCTION_KIND == "interactor"
    kept = function.preprocess_image(None, IMAGE)

    def detect(points=(), negative=(), box=None):
        prompts = _InteractionPromptsImpl(pos_points=points, neg_points=negative, bounding_box=box)
        return function.detect(None, kept, prompts)

    out["points"] = decoded(detect(((96, 96),), ((200, 20),))[0])
    out["box"] = decoded(detect(box=((40, 60), (200, 220)))[0])
    rows, columns = np.nonzero(out["points"])
    middle = (int(columns.min()) + int(columns.max()) + 1) // 2
    corners = ((0, int(rows.min())), (middle, int(rows.max())))
    out["both"] = decoded(detect(((96, 96),), ((200, 20),), corners)[0])
    out["corners"] = np.array(corners)
    assert detect() == []
    assert 0 < float(detect(((96, 96),))[0].attributes[0].value) <= 1


if __name__ == "__main__":
    arrays: dict[str, np.ndarray] = {}
    detections(arrays)
    clicks(arrays)
    np.savez(sys.argv[2], **arrays)  # type: ignore[arg-type]  # of its stubs
