"""CVAT, FiftyOne and supervision themselves take what we give: their masks are the pixels of `iseg segment`."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from iseg.cli import main

SCENE = Path(__file__).parent.parent.parent / "examples" / "scenes" / "bus_cat.jpg"

pytestmark = pytest.mark.integration
Segmented = Callable[..., np.ndarray]


@pytest.fixture
def segmented(tmp_path) -> Segmented:
    """segmented(*options) -> the label map (H, W) that `iseg segment` saves for the scene."""

    def run(*options: str) -> np.ndarray:
        arguments = ["segment", str(SCENE), *options, "--model", "tiny", "--device", "cpu", "--resume", "false"]
        assert main([*arguments, "--out", str(tmp_path / "cli"), "--save", "mask"]) == 0
        with Image.open(tmp_path / "cli" / "bus_cat.png") as mask:
            return np.array(mask)

    return run


def test_cvat_s_drivers_get_the_masks_of_iseg_segment(in_environment, segmented, tmp_path):
    in_environment("cvat", "cvat_driver.py", str(SCENE), str(tmp_path / "out.npz"))
    found = np.load(tmp_path / "out.npz")
    words = segmented("--classes", "cat; bus")
    assert np.array_equal(found["task_70"], words == 1)
    assert np.array_equal(found["task_50"], words == 2)
    drawn = np.zeros((*words.shape, 1), np.uint8)
    for name in (name for name in found.files if name.startswith("polygon_70")):
        cv2.fillPoly(drawn, [np.rint(found[name].reshape(-1, 2) - 0.5).astype(np.int32)], 1)
    assert (drawn[..., 0].astype(bool) == (words == 1)).mean() > 0.99
    assert np.array_equal(found["points"], segmented("--points", "96,96", "--negative", "200,20") == 1)
    assert np.array_equal(found["box"], segmented("--box", "40,60,200,220") == 1)
    bounded = np.zeros_like(found["points"])
    (left, top), (right, bottom) = found["corners"]
    bounded[top:bottom, left:right] = found["points"][top:bottom, left:right]
    assert 0 < bounded.sum() < found["points"].sum()
    assert np.array_equal(found["both"], bounded)


def test_fiftyone_s_labels_are_the_masks_of_iseg_segment(in_environment, segmented, tmp_path):
    print(in_environment("fiftyone", "fiftyone_model.py", str(SCENE), str(tmp_path / "out.npz")))
    found, words = np.load(tmp_path / "out.npz"), segmented("--classes", "bus; cat")
    assert np.array_equal(found["bus"], words == 1)
    assert np.array_equal(found["cat"], words == 2)
    assert np.array_equal(found["labels"], words)


def test_supervision_s_detections_are_the_masks_of_iseg_segment(in_environment, segmented, tmp_path):
    in_environment("supervision", "supervision_detections.py", str(SCENE), str(tmp_path / "out.npz"))
    found, words = np.load(tmp_path / "out.npz"), segmented("--classes", "bus; car; cat")
    assert found["class_id"].tolist() == [k for k in range(3) if (words == k + 1).any()]
    assert found["names"].tolist() == [("bus", "car", "cat")[k] for k in found["class_id"]]
    for mask, (left, top, right, bottom), k in zip(found["mask"], found["xyxy"], found["class_id"], strict=True):
        assert np.array_equal(mask, words == k + 1)
        rows, columns = np.nonzero(mask)
        assert (left, top, right, bottom) == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert ((found["confidence"] > 0) & (found["confidence"] <= 1)).all()
