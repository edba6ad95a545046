"""The confusion matrix against scikit-learn, and its bad input."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, jaccard_score

from iseg.errors import InputError
from iseg.evaluate.metrics import ConfusionMatrix


def maps(seed: int, classes: int, shape: tuple[int, int], ignored: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    target, prediction = rng.integers(0, classes, shape), rng.integers(0, classes, shape)
    target[rng.random(shape) < ignored] = 255
    return target, prediction


@given(st.integers(0, 2**16), st.integers(2, 8), st.tuples(st.integers(1, 12), st.integers(1, 9)), st.floats(0, 0.5))
@settings(max_examples=40, deadline=None)
def test_equals_scikit_learn(seed, classes, shape, ignored):
    target, prediction = maps(seed, classes, shape, ignored)
    matrix = ConfusionMatrix(classes)
    matrix.update(target, prediction)
    kept = target != 255
    if not kept.any():
        assert np.isnan(matrix.mean_iou())
        return
    truth, guess = target[kept], prediction[kept]
    present = np.unique(truth)
    assert np.array_equal(matrix.counts, confusion_matrix(truth, guess, labels=range(classes)))
    expected = jaccard_score(truth, guess, labels=present, average=None, zero_division=0)
    np.testing.assert_allclose(matrix.iou()[present], expected)
    assert matrix.mean_iou() == pytest.approx(expected.mean())
    assert matrix.pixel_accuracy() == pytest.approx((truth == guess).mean())
    recalls = [(guess[truth == label] == label).mean() for label in present]
    assert matrix.mean_accuracy() == pytest.approx(np.mean(recalls))


def test_parts_add_up():
    parts = [maps(seed, 5, (9, 14), 0.1) for seed in range(4)]
    whole, sums = ConfusionMatrix(5), [ConfusionMatrix(5), ConfusionMatrix(5)]
    for k, (target, prediction) in enumerate(parts):
        whole.update(torch.from_numpy(target), torch.from_numpy(prediction))
        sums[k % 2].update(target.astype(np.uint8), prediction)
    assert np.array_equal((sums[0] + sums[1]).counts, whole.counts)


def test_a_class_in_neither_map_is_not_averaged():
    matrix = ConfusionMatrix(4)
    matrix.update(np.array([[0, 1]]), np.array([[0, 2]]))
    assert matrix.iou()[:3].tolist() == [1, 0, 0]
    assert np.isnan(matrix.iou()[3])
    assert matrix.mean_iou() == 0.5


@pytest.mark.parametrize(
    ("target", "prediction", "message"),
    [
        (np.zeros((2, 3), int), np.zeros((3, 2), int), "they must be equal"),
        (np.full((2, 2), 7), np.zeros((2, 2), int), "target holds label 7"),
        (np.zeros((2, 2), int), np.full((2, 2), -1), "prediction holds label -1"),
        (np.zeros((2, 2)), np.zeros((2, 2), int), "integer label map"),
    ],
)
def test_bad_maps(target, prediction, message):
    matrix = ConfusionMatrix(5)
    with pytest.raises(InputError, match=message):
        matrix.update(target, prediction)
    assert matrix.counts.sum() == 0


def test_only_alike_matrices_are_added():
    with pytest.raises(ValueError, match="same classes"):
        ConfusionMatrix(3) + ConfusionMatrix(4)
