"""The steps that make scores follow a picture, against loops over pixels."""

import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from iseg.errors import InputError
from iseg.polish.pamr import COMPASS, CONTRAST, EPSILON, affinity, pamr
from iseg.polish.steps import polish, to_edges
from iseg.polish.superpixels import region_means
from iseg.upsample import joint_bilateral

HEIGHT, WIDTH = 6, 9


def example(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Maps (3, 6, 9) and a picture (3, 6, 9)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(3, HEIGHT, WIDTH, generator=generator), torch.rand(3, HEIGHT, WIDTH, generator=generator)


def pamr_by_loops(maps: np.ndarray, picture: np.ndarray, iterations: int, dilations: tuple[int, ...]) -> np.ndarray:
    def at(array, y, x):
        return array[:, min(max(y, 0), HEIGHT - 1), min(max(x, 0), WIDTH - 1)]

    for _ in range(iterations):
        refined = np.zeros_like(maps)
        for y in range(HEIGHT):
            for x in range(WIDTH):
                places = [(y + dy * far, x + dx * far) for far in dilations for dy, dx in COMPASS]
                colours = np.array([at(picture, *place) for place in places])  # (N, 3)
                own = at(picture, y, x)
                deviation = np.vstack([colours, own]).std(0, ddof=1)
                alike = -(abs(colours - own) / (EPSILON + CONTRAST * deviation)).mean(1)
                weights = np.exp(alike - alike.max())
                weights /= weights.sum()
                refined[:, y, x] = sum(w * at(maps, *place) for w, place in zip(weights, places, strict=True))
        maps = refined
    return maps


@pytest.mark.parametrize(("seed", "iterations", "dilations"), [(0, 1, (1,)), (1, 3, (1, 2)), (2, 2, (1, 4, 12))])
def test_pamr_is_what_loops_give(seed, iterations, dilations):
    maps, picture = example(seed)
    expected = pamr_by_loops(maps.double().numpy(), picture.double().numpy(), iterations, dilations)
    assert np.allclose(pamr(maps, picture, iterations, dilations).numpy(), expected, atol=2e-4)


@given(st.integers(0, 1000))
@settings(max_examples=10)
def test_pamr_keeps_the_range_and_the_sum_of_maps(seed):
    maps, picture = example(seed)
    maps = maps / maps.sum(0)
    refined = pamr(maps, picture)
    assert torch.allclose(refined.sum(0), torch.ones(HEIGHT, WIDTH), atol=1e-4)
    assert maps.min() - 1e-5 <= refined.min() <= refined.max() <= maps.max() + 1e-5


def test_pamr_keeps_a_map_that_is_the_picture():
    """Two halves of one colour each: scores move within a half, not over its border."""
    picture = torch.zeros(3, 12, 18)
    picture[:, :, 9:] = 1
    noisy = picture[:1] * 0.8 + 0.1 * torch.rand(1, 12, 18, generator=torch.Generator().manual_seed(0))
    refined = pamr(noisy, picture, 10, (1, 2))
    assert refined[0, :, :9].max() < 0.2
    assert refined[0, :, 9:].min() > 0.7
    assert refined[0, :, :9].std() < 0.6 * noisy[0, :, :9].std()


def test_affinity_of_a_flat_picture_is_even():
    offsets = [(dy * 2, dx * 2) for dy, dx in COMPASS]
    assert torch.allclose(affinity(torch.full((3, 5, 7), 0.3), offsets), torch.full((8, 5, 7), 1 / 8))


def test_region_means_are_those_of_each_region():
    maps, _ = example(3)
    labels = np.random.default_rng(0).integers(0, 4, (HEIGHT, WIDTH))
    means = region_means(maps, labels)
    for label in range(4):
        inside = torch.from_numpy(labels == label)
        for k in range(3):
            assert torch.allclose(means[k][inside], maps[k][inside].mean())


def test_joint_bilateral_is_the_upsampling_of_the_grid():
    """A picture that is a grid already is only smoothed along its own colours."""
    maps, picture = example(4)
    assert torch.allclose(to_edges(maps, picture), joint_bilateral(maps, picture), atol=1e-6)
    assert to_edges(torch.rand(2, 70, 130), torch.rand(3, 70, 130)).shape == (2, 70, 130)


@pytest.mark.parametrize(("step", "package"), [("crf", "pydensecrf"), ("superpixels", "skimage")])
def test_a_step_of_a_package_cleans_maps_along_the_picture(step, package):
    """Two halves of one colour each, wide and tall; scores that are right but for single pixels."""
    pytest.importorskip(package, reason="needs the extra polish")
    for turned in (False, True):
        picture = torch.full((3, 30, 48), 0.1)
        picture[:, :, 24:] = 0.9
        truth = (picture[:1] > 0.5).float()
        wrong = torch.rand(1, 30, 48, generator=torch.Generator().manual_seed(1)) < 0.1
        maps = torch.where(wrong, 1 - truth, truth) * 0.8 + 0.1
        both = torch.cat([1 - maps, maps])
        if turned:
            picture, truth, both = (each.transpose(1, 2).contiguous() for each in (picture, truth, both))
        polished = polish(both, picture, [step])
        assert polished.shape == both.shape
        assert polished.dtype == torch.float32
        assert (both.argmax(0) == truth[0]).float().mean() < 0.95
        assert (polished.argmax(0) == truth[0]).float().mean() > 0.99
        assert torch.allclose(polished.sum(0), torch.ones(polished.shape[1:]), atol=1e-4)
        assert polish(both[:1], picture, [step]).shape == both[:1].shape


@pytest.mark.parametrize(("step", "module"), [("crf", "pydensecrf.densecrf"), ("superpixels", "skimage.segmentation")])
def test_a_step_without_its_package_is_one_clear_line(monkeypatch, step, module):
    monkeypatch.setitem(sys.modules, module.partition(".")[0], None)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=rf"the step {step} needs .*pip install 'iseg\[polish\]'"):
        polish(*example(5), [step])


def test_steps_come_in_the_order_that_was_given():
    maps, picture = example(6)
    assert torch.equal(polish(maps, picture, []), maps)
    one = to_edges(pamr(maps, picture), picture)
    assert torch.equal(polish(maps, picture, ["pamr", "bilateral"]), one)
    assert not torch.allclose(polish(maps, picture, ["bilateral", "pamr"]), one, atol=1e-3)
    with pytest.raises(InputError, match="unknown step 'sharpen': expected one of pamr, crf, superpixels, bilateral"):
        polish(maps, picture, ["sharpen"])
