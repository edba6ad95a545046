"""Runs in FiftyOne's environment: our model with its own classes; what comes out goes to a file.

python fiftyone_model.py IMAGE OUT.npz
"""

import sys

import fiftyone as fo
import numpy as np
from fiftyone.core import models, service
from fiftyone.utils import image

from iseg.integrations.fiftyone import WordModel

PATH, OUT = sys.argv[1:]
CHOICE = {"model": "tiny", "device": "cpu"}


def has_database() -> bool:
    if fo.config.database_uri is not None:
        return True
    try:
        return bool(service.DatabaseService.find_mongod())
    except Exception as error:
        print("no data base:", error)
        return False


def labelled(model, **options):
    """A sample that FiftyOne has put the model's labels on."""
    if has_database():
        dataset = fo.Dataset()
        dataset.add_sample(fo.Sample(filepath=PATH))
        dataset.apply_model(model, label_field="iseg", skip_failures=False, **options)
        return dataset.first()
    sample = fo.Sample(filepath=PATH)  # what apply_model does with each image
    sample.add_labels(model.predict(image.read(PATH)), label_field="iseg", **options)
    return sample


detector = WordModel(["bus", "cat"], **CHOICE)
assert isinstance(detector, models.Model)
assert detector.media_type == "image"
with detector:
    found = labelled(detector)["iseg"].detections
height, width = image.read(PATH).shape[:2]
arrays = {each.label: each.to_segmentation(frame_size=(width, height)).mask > 0 for each in found}
assert all(0 < each.confidence <= 1 for each in found)
assert not labelled(detector, confidence_thresh=0.9999)["iseg"].detections
segmenter = WordModel(["bus", "cat"], "segmentation", **CHOICE)
arrays["labels"] = labelled(segmenter)["iseg"].mask
assert segmenter.mask_targets == {1: "bus", 2: "cat"}
np.savez(OUT, **arrays)
