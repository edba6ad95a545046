"""Brush strokes and clean-up beside brute force; decisions in strips; polygons; memory of a large export."""

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from iseg import masks
from iseg.marks import Marks
from iseg.page import decision
from iseg.page.annotate import polygons
from iseg.page.corrections import Clean, Stroke, clean_region, covered
from iseg.page.objects import PageObject

ROOT = Path(__file__).parent.parent.parent
SIZE = (23, 31)
points = st.tuples(st.floats(-5, 36), st.floats(-5, 28))


def region(*rows: str) -> np.ndarray:
    return np.array([[letter == "#" for letter in row] for row in rows], np.uint8)


@settings(max_examples=60, deadline=None)
@given(st.lists(points, min_size=1, max_size=4), st.floats(0.3, 9), st.integers(0, 22), st.integers(1, 23))
def test_a_stroke_covers_the_pixels_whose_centre_is_near(line, radius, top, count):
    rows = range(top, min(SIZE[0], top + count))
    expected = np.zeros(SIZE, bool)
    ends = list(pairwise(line)) or [(line[0], line[0])]
    for y in range(SIZE[0]):
        for x in range(SIZE[1]):
            for (ax, ay), (bx, by) in ends:
                t = np.linspace(0, 1, 2001)
                nearest = np.hypot(ax + t * (bx - ax) - x - 0.5, ay + t * (by - ay) - y - 0.5).min()
                expected[y, x] |= nearest <= radius - 1e-3
    found = np.zeros((len(rows), SIZE[1]), bool)
    place = covered(Stroke(tuple(line), radius, False, 0), SIZE[1], rows)
    if place is not None:
        found[place[0], place[1]] = place[2]
    missing = expected[rows.start : rows.stop] & ~found
    assert not missing.any()
    larger = covered(Stroke(tuple(line), radius + 2e-2, False, 0), SIZE[1], rows)
    assert found.sum() == 0 or (larger is not None and larger[2].sum() >= found.sum())


def test_clean_up_of_a_small_region():
    given_ = region(
        "#####..##",
        "#...#..##",
        "#.#.#....",
        "#...#....",
        "#####...#",
    )
    largest = clean_region(given_, Clean(largest=True), None)
    assert largest.sum() == 16
    filled = clean_region(given_, Clean(largest=True, holes=True), None)
    np.testing.assert_array_equal(filled[:, :5], 1)
    assert filled[:, 5:].sum() == 0
    clicked = clean_region(given_, Clean(clicked=True, largest=True), Marks(points=[(7.5, 0.2)]))
    assert clicked.sum() == 4
    nowhere = clean_region(given_, Clean(clicked=True), Marks(points=[(5.5, 0.2)]))
    np.testing.assert_array_equal(nowhere, given_)
    clipped = clean_region(given_, Clean(clip=True), Marks(boxes=[(5, 5, 0.6, 2)]))
    expected = np.zeros_like(given_)
    expected[2:5, 1:5] = given_[2:5, 1:5]
    np.testing.assert_array_equal(clipped, expected)


def test_smoothing_is_the_majority():
    generator = np.random.default_rng(0)
    given_ = (generator.random((17, 29)) > 0.5).astype(np.uint8)
    found = clean_region(given_, Clean(smooth=True), None)
    for y in range(17):
        for x in range(29):
            window = given_[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
            assert found[y, x] == (2 * window.sum() > window.size)


@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_strips_decide_as_the_whole_image_does(monkeypatch, rows):
    monkeypatch.setattr(decision, "STRIP", rows * 61)
    maps = torch.rand(4, 9, 9, generator=torch.Generator().manual_seed(1))
    objects = [PageObject(Marks(), None, 0.1, 1, 5, 0.3 + 0.1 * k) for k in range(4)]
    columns = maps.flatten(1).T
    expected = masks.decide(columns, (43, 61), range(1, 5), [each.threshold for each in objects], None).numpy()
    found = decision.decide(list(masks.min_max(maps)), objects, (43, 61))
    assert (found.labels != expected).mean() <= 1e-3
    scores = masks.score_maps(columns, (43, 61), None).numpy()
    for k in range(4):
        assert found.areas[k] == (found.labels == k + 1).sum()
        assert found.scores[k] == pytest.approx(scores[k][found.labels == k + 1].mean(), abs=1e-4)


def test_of_two_strokes_the_later_has_the_pixel_and_an_eraser_gives_it_back():
    maps = [torch.zeros(4, 4), torch.zeros(4, 4), torch.eye(4)]
    paint = [Stroke(((10.0, 10.0),), 4, False, order) for order in (5, 3)]
    objects = [PageObject(Marks(), None, 0.1, 1, 5, 0.9, strokes=(stroke,)) for stroke in paint]
    first = decision.decide(maps[:2], objects, (20, 30)).labels
    assert first[10, 10] == 1
    eraser = Stroke(((10.0, 10.0),), 4, True, 9)
    objects[0] = PageObject(Marks(), None, 0.1, 1, 5, 0.9, strokes=(paint[0], eraser))
    assert decision.decide(maps[:2], objects, (20, 30)).labels[10, 10] == 2


@pytest.mark.parametrize("seed", range(5))
def test_polygons_give_the_region_back(seed):
    generator = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(generator.random((60, 90)).astype(np.float32), (0, 0), 4)
    given_ = (noise > np.median(noise)).astype(np.uint8)
    given_[20:40, 30:60] = 1
    given_[25:30, 40:50] = 0  # a hole
    found = polygons(given_)
    drawn = np.zeros_like(given_)
    fine = 8  # pixel centres, by an even grid of sub-pixels
    for polygon in found:
        large = np.zeros((60 * fine, 90 * fine), np.uint8)
        cv2.fillPoly(large, [np.rint(polygon * fine).astype(np.int32)], 1)
        drawn |= large[fine // 2 :: fine, fine // 2 :: fine]
    np.testing.assert_array_equal(drawn, given_)
    encoded = coco_mask.merge(coco_mask.frPyObjects([p.flatten().tolist() for p in found], 60, 90))
    union = coco_mask.area(coco_mask.merge([encoded, coco_mask.encode(np.asfortranarray(given_))]))
    assert abs(int(coco_mask.area(encoded)) - int(given_.sum())) < 0.08 * given_.sum()
    assert union < 1.08 * given_.sum()


MEMORY = """
import sys, resource
from pathlib import Path
import cv2, numpy as np, torch
from iseg.marks import Marks
from iseg.page import exports
from iseg.page.annotate import Categories
from iseg.page.corrections import Clean, Stroke
from iseg.page.decision import decide
from iseg.page.objects import PageObject
torch.set_num_threads(1); cv2.setNumThreads(1)
height, width, count, kind, folder = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.argv[5]

def peak():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) / 1024

def item(size, count):
    generator = torch.Generator().manual_seed(0)
    maps = list(torch.nn.functional.avg_pool2d(torch.rand(count, 64, 64, generator=generator), 9, 1, 4))
    clean = [Clean(), Clean(largest=True, holes=True, smooth=True)]
    strokes = (Stroke(((9.0, 9.0), (90.0, 60.0)), 20, False, 1),)
    objects = [PageObject(Marks(), None, 0.1, 1, 5, 0.6, strokes, clean[k % 2], f"o{k}") for k in range(count)]
    pixels = np.zeros((*size, 3), np.uint8)
    return exports.Exported("a.jpg", pixels, objects, decide(maps, objects, size))

def write(item):
    path = Path(folder) / ("x" + exports.KINDS[kind][0])
    if kind in exports.OF_SETS:
        exports.write_set(path, kind, iter([item]), Categories())
    else:
        exports.write_picture(path, kind, item, 0.5)

write(item((60, 90), 2))  # what is loaded once
before = peak()
write(item((height, width), count))
print(peak() - before)
"""


def extra(height: int, width: int, count: int, kind: str, folder: Path) -> float:
    """MB that an export of an image takes beyond a tiny one's."""
    given_ = [str(value) for value in (height, width, count, kind, folder)]
    command = [sys.executable, "-c", MEMORY, *given_]
    out = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    return float(out.stdout)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
@pytest.mark.parametrize("kind", ["coco", "overlay", "cutout"])
def test_an_export_takes_a_bounded_number_of_bytes_per_pixel(kind, tmp_path):
    # all objects' scores at once would take 24 objects x 6 megapixels x 4 bytes = 576 MB; 50 megapixels x 40 objects
    # measured by hand are in docs/ui.md
    assert extra(2000, 3000, 24, kind, tmp_path) < 300
