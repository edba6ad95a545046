"""What a result hands to other tools: the labels that have a pixel; and what is said where a tool is missing."""

import importlib
import sys

import numpy as np
import pytest

from iseg import InputError, Segmentation


@pytest.fixture
def result() -> Segmentation:
    """Three names on (6, 9) pixels, the second without one."""
    generator = np.random.default_rng(0)
    mask = generator.choice(np.array([0, 1, 3], np.uint8), (6, 9))
    maps = generator.random((3, 4, 4), np.float32)
    return Segmentation(mask, ["bus", "car", "cat"], maps, maps, fine=generator.random((3, 6, 9), np.float32))


def test_labels_that_have_a_pixel(result):
    found = list(result.each_found())
    assert [k for k, _, _ in found] == [0, 2]
    for k, region, score in found:
        inside = [(y, x) for y in range(6) for x in range(9) if result.mask[y, x] == k + 1]
        assert [tuple(place) for place in np.argwhere(region)] == inside
        assert score == pytest.approx(sum(result.scores[k, y, x] for y, x in inside) / len(inside), rel=1e-5)


def test_a_missing_package_is_named_with_its_extra(result, monkeypatch):
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(InputError, match=r"to_detections needs supervision: install it with .*iseg\[supervision\]"):
        result.to_detections()


@pytest.mark.parametrize(("module", "package", "extra"), [
    ("cvat", "cvat_sdk", "cvat"), ("cvat_clicks", "cvat_sdk", "cvat"), ("fiftyone", "fiftyone", "fiftyone"),
])  # fmt: skip
def test_a_missing_tool_is_named_with_its_extra(module, package, extra, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, f"iseg.integrations.{module}", raising=False)
    with pytest.raises(InputError, match=rf"needs {package}.*: install it with pip install 'iseg\[{extra}\]'"):
        importlib.import_module(f"iseg.integrations.{module}")
