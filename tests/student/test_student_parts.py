"""What a student sees and how it learns: pictures by number, loss, schedule, average, curves, views."""

from itertools import chain

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from iseg.data.voc import items
from iseg.files.export import write_image
from iseg.student.augment import augment, recolour
from iseg.student.average import Average
from iseg.student.curves import curves, running_mean
from iseg.student.loss import pixel_loss
from iseg.student.pictures import Pictures, lessons, share
from iseg.student.predict import probabilities
from iseg.student.schedule import share as rate_share
from iseg.student.settings import Augmentation


@pytest.fixture(scope="module")
def pictures(voc):
    return Pictures(lessons(items(voc, "train"), None), 21, Augmentation(crop=32), seed=3)


@given(st.integers(0, 5), st.integers(1, 6), st.integers(1, 3))
@settings(max_examples=20)
def test_processes_share_what_one_would_see(first, per_process, processes):
    size = per_process * processes
    alone = list(share(first, 8, size))
    parts = [list(share(first, 8, size, process, processes)) for process in range(processes)]
    assert [sorted(chain(*batches)) for batches in zip(*parts, strict=True)] == alone
    assert alone[0][0] == first * size


def test_a_number_shows_the_same_whoever_asks_and_every_epoch_shows_all(voc, pictures):
    other = Pictures(lessons(items(voc, "train"), None), 21, Augmentation(crop=32), seed=3)
    other.batch([11, 4])  # in another order
    for mine, theirs in zip(pictures[7], other[7], strict=True):
        assert torch.equal(mine, theirs)
    count = len(pictures.lessons)
    epochs = [[pictures.lesson(epoch * count + n).item.name for n in range(count)] for epoch in range(3)]
    assert len({tuple(epoch) for epoch in epochs}) > 1
    assert all(len(set(epoch)) == count for epoch in epochs)


def test_mask_and_weights_follow_the_picture():
    """Labels and weights painted in the picture stay with it through scale, crop and flip."""
    rng = np.random.default_rng(0)
    label = np.zeros((40, 90), np.uint8)
    label[10:30, 20:60] = 7
    image = np.repeat(label[..., None] * 30, 3, 2)
    for _ in range(10):
        seen, mask, weight = augment((image, label, label), Augmentation(32, [0.8, 1.6], True, 0, 0), rng)
        assert seen.shape == (32, 32, 3)
        assert mask.shape == weight.shape == (32, 32)
        inside = mask != 255
        assert np.array_equal(mask[inside], weight[inside])
        far = abs(seen[..., 0].astype(int) - 105) > 60  # not where the border was blurred
        assert np.array_equal((seen[..., 0] > 105)[inside & far], (mask == 7)[inside & far])


def test_beyond_the_picture_nothing_is_learnt():
    small = np.full((5, 9), 3, np.uint8)
    image = np.full((5, 9, 3), 200, np.uint8)
    _, mask, weight = augment((image, small, small), Augmentation(32, [1, 1], False), np.random.default_rng(1))
    assert (mask == 255).sum() == 32 * 32 - 45
    assert (weight[mask == 255] == 0).all()


def test_colours_change_within_bounds_and_grey_stays_grey():
    grey = np.full((6, 8, 3), 100, np.uint8)
    for seed in range(5):
        changed = recolour(grey, 0.2, 0.1, np.random.default_rng(seed)).astype(int)
        assert 79 <= changed.min() <= changed.max() <= 121
        assert (changed.max(2) - changed.min(2)).max() <= 1
    assert np.array_equal(recolour(grey, 0, 0, np.random.default_rng(0)), grey)


def test_loss_is_the_weighted_mean_over_known_pixels():
    torch.manual_seed(0)
    logits, labels, weights = torch.randn(2, 4, 3, 5), torch.randint(0, 4, (2, 6, 10)), torch.rand(2, 6, 10)
    labels[0, :2], weights[1, 3] = 255, 0
    large = F.interpolate(logits, (6, 10), mode="bilinear").log_softmax(1)
    total = count = 0.0
    for b, y, x in np.ndindex(2, 6, 10):
        if labels[b, y, x] != 255:
            total -= float(weights[b, y, x] * large[b, labels[b, y, x], y, x])
            count += float(weights[b, y, x])
    got = pixel_loss(logits, labels, weights)
    assert float(got[0]) == pytest.approx(total, rel=1e-4)
    assert float(got[1]) == pytest.approx(count, rel=1e-5)


def test_schedules_start_small_reach_the_full_rate_and_end_near_zero():
    for schedule in ("poly", "cosine"):
        rates = [rate_share(step, 100, schedule, 0.9, 10) for step in range(100)]
        assert rates[0] < 0.1
        assert max(rates) > 0.8
        assert rates[-1] < 0.03
        assert rates[20:] == sorted(rates[20:], reverse=True)
    assert rate_share(50, 100, "poly", 2.0, 0) == pytest.approx(0.25)
    assert rate_share(50, 100, "cosine", 2.0, 0) == pytest.approx(0.5)


def test_average_forgets_the_start_and_gives_the_weights_back():
    first = nn.Linear(2, 2)
    network = nn.Sequential(first, nn.BatchNorm1d(2))
    average = Average(network, 0.5)
    start = first.weight.mean().item()
    for value in (1.0, 3.0):
        nn.init.constant_(first.weight, value)
        average.update(network)
    # a young average has the decay updates / (updates + 10): 1/11, then 2/12
    expected = (start / 11 + 10 / 11) / 6 + 3 * 5 / 6
    assert average.weights["0.weight"].mean().item() == pytest.approx(expected, rel=1e-5)

    def fail():
        with average.used_by(network):
            assert torch.equal(first.weight, average.weights["0.weight"])
            raise RuntimeError("told")

    with pytest.raises(RuntimeError, match="told"):
        fail()
    assert torch.equal(first.weight, torch.full((2, 2), 3.0))


def test_running_mean_is_the_mean_of_the_last():
    values = [float(value) for value in np.random.default_rng(0).random(20)]
    assert running_mean(values, 6) == pytest.approx([np.mean(values[max(0, n - 5) : n + 1]) for n in range(20)])
    assert running_mean([], 6) == []


def test_curves_are_drawn_even_of_a_single_update(tmp_path):
    for losses, steps, scores in (([0.7], [], []), ([1.0, 0.5, 0.25], [2, 3], [0.1, 0.4])):
        write_image(tmp_path / "curves.png", curves(losses, steps, scores))
        assert (tmp_path / "curves.png").stat().st_size > 1000


def test_views_are_averaged_and_mirrored_ones_turned_back():
    """A network that sees left from right, looked at in both directions, is the mean of both."""
    image = np.random.default_rng(0).integers(0, 256, (40, 64, 3)).astype(np.uint8)
    ramp = torch.linspace(-2, 2, 64).expand(1, 1, 40, 64)

    def network(pixels):
        grown = F.interpolate(ramp, pixels.shape[2:], mode="bilinear").expand(len(pixels), 1, -1, -1)
        return torch.cat([grown + pixels[:, :1] / 255, pixels[:, 1:2] / 255], 1)

    plain, both = (probabilities(network, image, [1.0], flip) for flip in (False, True))
    turned = probabilities(network, np.ascontiguousarray(image[:, ::-1]), [1.0], False).flip(2)
    assert torch.allclose(both, (plain + turned) / 2, atol=1e-6)
    assert torch.allclose(probabilities(network, image, [0.5, 1.0], True).sum(0), torch.ones(40, 64), atol=1e-5)
