"""Quality of labels against scikit-learn, which is written apart from it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, precision_recall_fscore_support

from iseg.tagging.quality import average_precision, quality


def random_labels(seed, images, classes):
    rng = np.random.default_rng(seed)
    truth, chosen = rng.random((images, classes)) < 0.3, rng.random((images, classes)) < 0.3
    return truth, chosen, np.round(rng.random((images, classes)), 1)  # rounded: equal scores occur


def as_lists(table):
    return {f"image{row}": np.flatnonzero(line).tolist() for row, line in enumerate(table)}


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(1, 6))
def test_against_scikit_learn(seed, images, classes):
    truth, chosen, scores = random_labels(seed, images, classes)
    names = [f"class{k}" for k in range(classes)]
    found = quality(as_lists(truth), as_lists(chosen), names, {f"image{row}": line for row, line in enumerate(scores)})
    precision, recall, f1, _ = precision_recall_fscore_support(
        truth.ravel(), chosen.ravel(), average="binary", zero_division=np.nan
    )
    for key, expected in (("precision", precision), ("recall", recall), ("f1", f1)):
        assert found[key] == (None if np.isnan(expected) else pytest.approx(expected))
    occurring = truth.any(0)
    expected_ap = [average_precision_score(truth[:, k], scores[:, k]) for k in np.flatnonzero(occurring)]
    assert found["map"] == (pytest.approx(np.mean(expected_ap)) if expected_ap else None)
    assert [entry["images"] for entry in found["classes"]] == truth.sum(0).tolist()
    assert all(entry["ap"] is None for entry, holds in zip(found["classes"], occurring, strict=True) if not holds)


def test_without_scores_there_is_no_average_precision():
    found = quality({"a": [0], "b": [1]}, {"a": [0, 1], "b": []}, ["cat", "dog"])
    assert found["map"] is None
    assert (found["precision"], found["recall"], found["f1"]) == (0.5, 0.5, 0.5)
    assert found["macro_f1"] == pytest.approx(0.5)  # cat 1, dog 0


def test_average_precision_of_a_perfect_and_a_reversed_order():
    truth = np.array([True, True, False, False])
    assert average_precision(truth, np.array([4.0, 3.0, 2.0, 1.0])) == 1
    assert average_precision(truth, np.array([1.0, 2.0, 3.0, 4.0])) == pytest.approx((1 / 3 + 2 / 4) / 2)
