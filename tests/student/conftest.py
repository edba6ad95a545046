"""A small data set, a small network."""

from pathlib import Path

import pytest
import yaml
from fake_data import make_voc
from student_network import NETWORK


@pytest.fixture(scope="session")
def voc(tmp_path_factory) -> Path:
    """The root of a VOC with eight images of four sizes, six of them train."""
    root = tmp_path_factory.mktemp("student_voc")
    make_voc(root, [(1,), (2, 3), (15,), (20, 4), (5,), (12, 8), (9,), (6,)], {"train": range(6), "val": range(6, 8)})
    return root


@pytest.fixture(scope="session")
def config(voc, tmp_path_factory) -> Path:
    """A configuration of six updates of four pictures."""
    content = {
        "data": {"kind": "voc", "split": "train", "root": str(voc)},
        "val": {"kind": "voc", "split": "val", "root": str(voc)},
        "masks": str(voc / "VOCdevkit/VOC2012/SegmentationClassAug"),
        "model": "scratch",
        "network": NETWORK,
        "augment": {"crop": 32, "scale": [0.5, 1.5]},
        "steps": 6,
        "batch_size": 4,
        "rate": 0.01,
        "warmup": 2,
        "ema": 0.9,
        "validate_every": 3,
        "checkpoint_every": 3,
        "scales": [0.75],
        "readers": 2,
        "device": "cpu",
    }
    path = tmp_path_factory.mktemp("student_config") / "train.yaml"
    path.write_text(yaml.safe_dump(content))
    return path
