"""Entropy reduction and refinement: direct formulas, invariants, the cases that would give NaN."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from iseg import masks
from iseg.cross import class_maps
from iseg.refine import SAMPLED, SPARSE_BELOW, compact, normalize_columns, reduce_entropy, refine


def attention(size: int, seed: int, sharp: float = 3.0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((size, size))).mul(sharp).softmax(1)


def slow_reduce(matrix: np.ndarray, weight: float, clamp_max: float | None) -> np.ndarray:
    out = matrix / matrix.max(0)
    for (row, column), value in np.ndenumerate(out):
        if value != 0:
            out[row, column] = max(0.0, value + weight * np.log10(np.e * value))
            if clamp_max is not None:
                out[row, column] = min(clamp_max, out[row, column])
    return out / out.sum(1, keepdims=True)


@given(st.integers(2, 12), st.floats(0, 0.3), st.sampled_from([None, 1.0]), st.integers(0, 2**16))
@settings(max_examples=40, deadline=None)
def test_reduction_is_the_direct_formula(size, weight, clamp_max, seed):
    matrix = attention(size, seed, 1.0)
    expected = slow_reduce(matrix.numpy(), weight, clamp_max)
    np.testing.assert_allclose(reduce_entropy(matrix, weight, clamp_max), expected, atol=1e-12)


@given(st.integers(2, 20), st.floats(0, 5), st.floats(0.1, 20), st.integers(0, 2**16))
@settings(max_examples=40, deadline=None)
def test_rows_are_distributions_whatever_the_weight(size, weight, sharp, seed):
    matrix = attention(size, seed, sharp)
    before = matrix.clone()
    reduced = reduce_entropy(matrix, weight)
    assert torch.equal(matrix, before)
    assert reduced.min() >= 0
    assert torch.allclose(reduced.sum(1), torch.ones(size).double())


def test_reduction_lowers_the_entropy():
    matrix = attention(50, 0, 1.0)
    entropies = []
    for weight in (0.0, 0.1, 0.3):
        p = reduce_entropy(matrix, weight)
        entropies.append(-(p * p.clamp_min(1e-30).log()).sum(1).mean().item())
    assert entropies[0] > entropies[1] > entropies[2]


def test_a_row_that_the_clamp_empties_keeps_its_own_score():
    matrix = torch.tensor([[1.0, 1.0, 1.0], [1e-6, 1e-6, 1e-6], [0.5, 0.9, 0.1]])
    reduced = reduce_entropy(matrix, 1.0)
    assert reduced[1].tolist() == [0, 1, 0]
    assert torch.isfinite(reduced).all()


def test_a_key_that_nobody_attends_to_is_not_nan():
    matrix = torch.tensor([[0.0, 0.4, 0.6], [0.0, 1.0, 0.0], [0.0, 0.2, 0.8]])
    for weight in (0.0, 0.5):
        reduced = reduce_entropy(matrix, weight)
        assert torch.isfinite(reduced).all()
        assert reduced[:, 0].abs().max() == 0


@pytest.mark.parametrize("normalize_rows", [False, True])
def test_empty_rows_become_the_identity(normalize_rows):
    assert reduce_entropy(torch.zeros(3, 3), 0.1, normalize_rows=normalize_rows).tolist() == torch.eye(3).tolist()


@given(st.integers(2, 12), st.floats(0, 0.3), st.sampled_from([None, 1.0]), st.integers(1, 5), st.integers(0, 2**16))
@settings(max_examples=40, deadline=None)
def test_rows_are_normalised_first_where_asked_for(size, weight, clamp_max, block, seed):
    matrix = attention(size, seed, 1.0) * torch.rand(size, 1).double()
    before = matrix.clone()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("iseg.refine.ROWS_AT_ONCE", block)
        reduced = reduce_entropy(matrix, weight, clamp_max, normalize_rows=True)
    expected = slow_reduce(matrix.numpy() / matrix.numpy().sum(1, keepdims=True), weight, clamp_max)
    np.testing.assert_allclose(reduced, expected, atol=1e-12)
    assert torch.equal(matrix, before)


@pytest.mark.parametrize("normalize_rows", [False, True])
def test_the_result_takes_the_memory_it_is_given(normalize_rows):
    matrix, out = attention(30, 5), torch.full((30, 30), torch.nan).double()
    expected = reduce_entropy(matrix, 0.2, 1.0, normalize_rows)
    assert reduce_entropy(matrix, 0.2, 1.0, normalize_rows, out=out) is out
    assert torch.equal(out, expected)


def test_no_step_waits_for_a_value():
    # tensors without values: to look at one raises
    with FakeTensorMode():
        matrix, tokens = torch.rand(64, 64), torch.rand(9, 8, 8)
        columns = class_maps(tokens, [[1], [2, 3]], cluster=True, rounds=3, stride=3)
        reduced = reduce_entropy(matrix, 0.1, 1.0, normalize_rows=True)
        steps = refine(reduced, columns, 4, trajectory=True)
        labels = masks.label_map(masks.score_maps(steps[-1], (5, 7)), [1, 2], "power")
        assert (steps.shape, labels.shape) == ((5, 64, 2), (5, 7))
        with pytest.raises(DataDependentOutputException):
            matrix.sum().item()


@given(st.integers(2, 15), st.integers(1, 4), st.integers(0, 6), st.integers(0, 2**16))
@settings(max_examples=30, deadline=None)
def test_refinement_is_the_plain_loop(size, classes, iterations, seed):
    matrix = attention(size, seed)
    maps = torch.from_numpy(np.random.default_rng(seed).random((size, classes)))
    column = maps.numpy()
    expected = []
    for step in range(iterations + 1):
        column = matrix.numpy() @ column if step else column
        column = column - column.min(0)
        column = column / column.sum(0)
        expected.append(column)
    steps = refine(matrix, maps, iterations, trajectory=True)
    np.testing.assert_allclose(steps, np.stack(expected), rtol=1e-6, atol=1e-12)
    assert torch.equal(refine(matrix, maps, iterations), steps[-1])
    assert torch.allclose(steps.sum(1), torch.ones(iterations + 1, classes).double())
    assert steps.amin(1).abs().max() == 0


def test_columns_do_not_mix():
    matrix, maps = attention(30, 1), torch.rand(30, 3).double()
    together = refine(matrix, maps, 4)
    for k in range(3):
        assert torch.allclose(together[:, k : k + 1], refine(matrix, maps[:, k : k + 1], 4))


@given(st.integers(3, 40), st.floats(0, 1), st.integers(1, 5), st.integers(0, 2**16))
@settings(max_examples=40, deadline=None)
def test_products_without_the_zeros_are_the_same(size, share, classes, seed):
    rng = np.random.default_rng(seed)
    matrix = torch.from_numpy(np.where(rng.random((size, size)) < share, rng.random((size, size)), 0))
    matrix = reduce_entropy(matrix, 0.0)  # rows that are empty become the identity's
    smaller = compact(matrix)
    few = float((matrix[::SAMPLED] != 0).double().mean()) <= SPARSE_BELOW
    assert smaller.layout == (torch.sparse_csr if few else torch.strided)
    assert torch.equal(smaller.to_dense(), matrix)
    maps = torch.from_numpy(rng.random((size, classes)))
    expected = refine(matrix, maps, 5, trajectory=True)
    np.testing.assert_allclose(refine(smaller, maps, 5, trajectory=True), expected, rtol=1e-9, atol=1e-15)


def test_a_matrix_stays_dense_off_the_cpu_or_without_a_library(monkeypatch):
    matrix = torch.eye(40)
    assert compact(matrix).layout == torch.sparse_csr
    far = matrix.to("meta")
    assert compact(far) is far
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: False)
    assert compact(matrix) is matrix


@pytest.mark.parametrize("value", [0.0, 0.3])
def test_constant_columns_become_empty(value):
    maps = torch.full((16, 2), value)
    assert torch.equal(normalize_columns(maps), torch.zeros(16, 2))
    assert torch.equal(refine(attention(16, 2).float(), maps, 3), torch.zeros(16, 2))
