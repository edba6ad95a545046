"""Scores and labels: direct formulas and invariants on non-square sizes."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from iseg.errors import InputError
from iseg.masks import decide, label_map, min_max, resize, score_maps

ROOT = Path(__file__).parent.parent


def random_scores(classes: int, size: tuple[int, int], seed: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).random((classes, *size)))


def slow_labels(scores: np.ndarray, ids: list[int], background) -> np.ndarray:
    maps = np.stack([(m - m.min()) / (m.max() - m.min()) for m in scores])
    maps = maps / (maps.max((1, 2), keepdims=True) + 1e-6)
    out = np.zeros(scores.shape[1:], int)
    for row, column in np.ndindex(out.shape):
        values = maps[:, row, column]
        if background == "power":
            rest = (1 - values.max()) ** 2
            out[row, column] = 0 if rest >= values.max() else ids[int(values.argmax())]
        else:
            kept = np.where(values < background, 0, values)
            out[row, column] = ids[int(kept.argmax())] if kept.max() > 0 else 0
    return out


@given(
    st.integers(1, 4),
    st.tuples(st.integers(2, 7), st.integers(2, 9)),
    st.one_of(st.just("power"), st.floats(0, 1)),
    st.integers(0, 2**16),
)
@settings(max_examples=50, deadline=None)
def test_labels_are_the_slow_ones(classes, size, background, seed):
    scores, ids = random_scores(classes, size, seed), [3 * k + 2 for k in range(classes)]
    labels = label_map(scores, ids, background)
    assert np.array_equal(labels, slow_labels(scores.numpy(), ids, background))
    assert set(labels.unique().tolist()) <= {0, *ids}


def test_rescaling_twice_changes_nothing():
    scores = random_scores(3, (5, 9), 1) * 7 + 2
    assert torch.equal(label_map(scores, [1, 2, 3], "power"), label_map(min_max(scores), [1, 2, 3], "power"))


def test_a_constant_map_never_wins():
    scores = torch.stack([torch.full((4, 6), 0.9), torch.linspace(0, 1, 24).reshape(4, 6)])
    for background in ("power", 0.3):
        assert 1 not in label_map(scores, [1, 2], background)
    assert label_map(scores[:1], [1], "power").abs().max() == 0


def test_without_rescaling_the_threshold_is_absolute():
    scores = torch.tensor([[[0.2, 0.5, 0.7]]])
    assert label_map(scores, [1], 0.5, rescale=False).tolist() == [[0, 1, 1]]
    assert label_map(scores, [1], 0.8, rescale=False).tolist() == [[0, 0, 0]]


@pytest.mark.parametrize("working_size", [None, 64])
@pytest.mark.parametrize("size", [(30, 45), (7, 300), (64, 64)])
def test_score_maps_are_in_range_and_finite(working_size, size):
    columns = torch.rand(16 * 16, 3)
    columns[:, 2] = 0.5
    scores = score_maps(columns, size, working_size)
    assert scores.shape == (3, *size)
    assert 0 <= scores.min() <= scores.max() <= 1
    assert scores[2].abs().max() == 0


def test_scores_keep_their_place_on_a_non_square_image():
    columns = torch.zeros(8, 8)
    columns[1, 6] = 1  # row 1, column 6
    scores = score_maps(columns.reshape(-1, 1), (40, 120), None)[0]
    row, column = divmod(int(scores.argmax()), 120)
    assert (row * 8 // 40, column * 8 // 120) == (1, 6)


def test_resize_is_half_pixel_centred():
    assert resize(torch.tensor([[[0.0, 1.0]]]), (1, 4)).flatten().tolist() == [0, 0.25, 0.75, 1]


def test_count_of_labels_must_fit():
    with pytest.raises(ValueError, match="2 maps, class_ids 1"):
        label_map(torch.rand(2, 3, 3), [1], "power")


@given(st.integers(1, 5), st.tuples(st.integers(2, 6), st.integers(2, 6)), st.data())
@settings(max_examples=50, deadline=None)
def test_a_threshold_of_each_class_hides_that_class_alone(classes, size, data):
    scores = random_scores(classes, size, data.draw(st.integers(0, 999)))
    thresholds = [data.draw(st.floats(0, 1)) for _ in range(classes)]
    kept = torch.stack([torch.where(m < t, torch.zeros_like(m), m) for m, t in zip(scores, thresholds, strict=True)])
    best, index = kept.max(0)
    expected = torch.where(best > 0, index + 1, 0)
    assert torch.equal(label_map(scores, range(1, classes + 1), thresholds, rescale=False).long(), expected)


def test_of_equal_scores_the_first_wins():
    scores = torch.tensor([[[0.7, 0.2]], [[0.7, 0.9]]])
    assert label_map(scores, [5, 9], 0.1, rescale=False).tolist() == [[5, 9]]


@pytest.mark.parametrize("background", ["power", 0.3])
@pytest.mark.parametrize("working_size", [None, 24])
def test_the_decision_is_the_labels_of_all_scores(working_size, background):
    columns = torch.rand(100, 4, generator=torch.Generator().manual_seed(3))
    scores = score_maps(columns, (31, 47), working_size)
    labels = label_map(scores, [1, 2, 3, 4], background, rescale=working_size is not None)
    assert torch.equal(decide(columns, (31, 47), [1, 2, 3, 4], background, working_size), labels)
    assert labels.dtype == torch.uint8


def test_no_class_is_all_background():
    assert decide(torch.zeros(16, 0), (3, 5), [], "power", None).eq(0).all()


def test_a_256th_class_is_an_error_not_background():
    with pytest.raises(InputError, match=r"256 classes with labels up to 256: expected 1\.\.255"):
        decide(torch.rand(16, 256), (3, 5), range(1, 257), "power", None)
    columns = torch.zeros(16, 255)
    columns[8:, -1] = 1
    assert decide(columns, (3, 5), range(1, 256), 0.0, None).max() == 255


MEMORY = """
import torch
from pathlib import Path
from iseg.masks import decide

def peak():
    line = next(l for l in Path("/proc/self/status").read_text().splitlines() if l.startswith("VmHWM"))
    return int(line.split()[1]) / 1024

columns, size = torch.rand(64, 80), (1500, 2000)
decide(columns[:, :1], (40, 60), [1], "power", 64)
before = peak()
labels = decide(columns, size, range(1, 81), "power", 64)
print(peak() - before, labels.max().item())
"""


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="no /proc to read the peak memory from")
def test_many_classes_on_a_large_image_take_the_memory_of_a_few_maps():
    out = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True, cwd=ROOT)
    grown, highest = map(float, out.stdout.split())
    assert highest > 40
    assert grown < 16 * 1500 * 2000 * 4 / 2**20  # MB; all 80 score maps would take five times as much
