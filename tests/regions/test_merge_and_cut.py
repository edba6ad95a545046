"""Merging and cuts against brute force on small matrices; invariants; degenerate cases."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from iseg.regions import affinity, merge_proposals, normalized_cut
from iseg.regions.cut import FINEST, cut_tree


def rows(n: int, seed: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).dirichlet(np.full(n, 0.5), n))


def blocks(sizes: list[int], noise: float, seed: int) -> torch.Tensor:
    """Symmetric weights: 1 within blocks, up to `noise` between."""
    owner = np.repeat(np.arange(len(sizes)), sizes)
    random = np.random.default_rng(seed).uniform(0, noise, (len(owner), len(owner)))
    return torch.from_numpy(np.where(owner[:, None] == owner, 1.0, (random + random.T) / 2))


def partition(labels: torch.Tensor) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(labels.numpy() == k).tolist()) for k in labels.unique().tolist()}


def distance(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a + 1e-12, b + 1e-12
    return 0.5 * (np.sum(a * np.log(a / b)) + np.sum(b * np.log(b / a)))


def slow_merge(attention: np.ndarray, anchors: list[int], threshold: float, rounds: int) -> np.ndarray:
    """The rule, one pair at a time."""
    proposals = []
    for i in anchors:
        proposals.append(np.mean([row for j, row in enumerate(attention)
                                  if j == i or distance(attention[i], row) < threshold], axis=0))  # fmt: skip
    for _ in range(rounds - 1):
        taken: set[int] = set()
        merged = []
        for i, own in enumerate(proposals):
            if i in taken:
                continue
            near = [j for j, other in enumerate(proposals) if j == i or distance(own, other) < threshold]
            taken |= set(near)
            merged.append(np.mean([proposals[j] for j in near], axis=0))
        proposals = merged
    return np.array(proposals)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 12), st.floats(0.05, 4), st.integers(1, 4), st.integers(0, 2**16))
def test_merging_is_the_rule_pair_by_pair(n, threshold, rounds, seed):
    attention = rows(n, seed)
    anchors = list(range(0, n, 2))
    expected = slow_merge(attention.numpy(), anchors, threshold, rounds)
    found = merge_proposals(attention, torch.tensor(anchors), threshold, rounds)
    np.testing.assert_allclose(found, expected, atol=1e-10)
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-10)


def test_merging_of_equal_and_of_unlike_rows():
    anchors = torch.arange(6)
    assert len(merge_proposals(torch.full((6, 6), 1 / 6), anchors, 0.01)) == 1
    assert len(merge_proposals(torch.eye(6), anchors, 1.0)) == 6
    two = torch.block_diag(torch.full((2, 2), 0.5), torch.full((4, 4), 0.25))
    torch.testing.assert_close(merge_proposals(two, anchors, 1.0), two.double()[[0, 2]])
    assert len(merge_proposals(torch.eye(6), anchors, 0.0)) == 6  # at threshold 0 every anchor keeps itself


def ncut(weights: np.ndarray, side: tuple[bool, ...]) -> float:
    upper = np.array(side)
    cut = weights[upper][:, ~upper].sum()
    return cut / weights[upper].sum() + cut / weights[~upper].sum()


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 5), st.integers(1, 5), st.floats(0, 0.1), st.integers(0, 2**16))
def test_the_cut_of_two_blocks_is_the_best_of_all_bipartitions(first, second, noise, seed):
    weights = blocks([first, second], noise, seed)
    side, value = normalized_cut(weights)
    every = itertools.product([False, True], repeat=len(weights))
    best = min((s for s in every if 0 < sum(s) < len(s)), key=lambda s: ncut(weights.numpy(), s))
    assert value == pytest.approx(ncut(weights.numpy(), tuple(side.tolist())))
    assert value == pytest.approx(ncut(weights.numpy(), best), abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 10), st.integers(0, 2**16))
def test_a_cut_is_never_better_than_the_best_and_says_its_own_value(n, seed):
    random = np.random.default_rng(seed).uniform(0.01, 1, (n, n))
    weights = random + random.T
    side, value = normalized_cut(torch.from_numpy(weights))
    every = itertools.product([False, True], repeat=n)
    assert value >= min(ncut(weights, s) for s in every if 0 < sum(s) < n) - 1e-9
    assert value == pytest.approx(ncut(weights, tuple(side.tolist())))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(2, 6), min_size=1, max_size=4), st.floats(0.001, 1000), st.integers(0, 2**16))
def test_blocks_are_found_whatever_their_order_and_scale(sizes, scale, seed):
    weights = blocks(sizes, 0.02, seed)
    labels = cut_tree(weights, 0.5).labels(0.5)
    owner = torch.from_numpy(np.repeat(np.arange(len(sizes)), sizes))
    assert partition(labels) == partition(owner)
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(weights)))
    shuffled = cut_tree(scale * weights[order][:, order], 0.5).labels(0.5)
    assert partition(shuffled) == partition(owner[order])


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 14), st.integers(0, 2**16), st.floats(0.1, 1), st.floats(0.1, 1))
def test_a_finer_limit_only_splits_further_and_needs_no_other_tree(n, seed, one, other):
    features = torch.nn.functional.normalize(rows(n, seed).float().sqrt(), dim=1)
    weights, (low, high) = affinity(features), sorted((one, other))
    tree = cut_tree(weights)
    coarse, fine = partition(tree.labels(low)), partition(tree.labels(min(high, FINEST)))
    assert all(any(part <= whole for whole in coarse) for part in fine)
    assert partition(cut_tree(weights, low).labels(low)) == coarse


def test_graphs_without_structure():
    same = torch.nn.functional.normalize(torch.ones(9, 4), dim=1)
    assert affinity(same).eq(1).all()
    assert cut_tree(affinity(same)).labels(FINEST).eq(0).all()
    assert len(partition(cut_tree(affinity(torch.eye(9))).labels(0.5))) == 9
    assert cut_tree(torch.ones(1, 1)).labels(0.5).tolist() == [0]
    assert affinity(torch.zeros(3, 2)).diagonal().eq(1).all()  # a place that no anchor reaches stays finite
