"""Goldens of clicks -> masks: each step and three scenes against outputs of the published method."""

import m2n2_inputs as inputs
import numpy as np
import pytest
import torch

from iseg.markov import Chain, Click, MarkovMaps, balance, count_steps, flood, radii, sharpen, start_state
from iseg.markov.radius import borders, edges, profile, scores
from iseg.upsample import joint_bilateral

SAME, OTHER = [(1, 1), (5, 4), (9, 2)], [(10, 8), (3, 7)]  # (x, y)
MAPS = {"plain": inputs.small_map(), "ties": inputs.small_map(levels=4)}


@pytest.fixture(scope="module")
def golden(data):
    return np.load(data / "m2n2.npz")


def difference(ours, golden) -> float:
    return float(np.abs(np.asarray(ours, np.float64) - np.asarray(golden, np.float64)).max())


def unpacked(bits, shape):
    return np.unpackbits(bits)[: shape[0] * shape[1]].reshape(shape).astype(bool)


@pytest.mark.parametrize("temperature", [0.4, 0.65, 1.0])
def test_temperature(golden, temperature):
    ours = sharpen(torch.from_numpy(inputs.small_matrix()), temperature)
    assert difference(ours, golden[f"units/temperature_{temperature}"]) < 1e-6


@pytest.mark.parametrize("rounds", [1, 15, 200])
def test_balance(golden, rounds):
    ours = balance(torch.from_numpy(inputs.small_matrix()), rounds)
    assert difference(ours, golden[f"units/balanced_{rounds}"]) < 1e-6


@pytest.mark.parametrize(("name", "grid"), [("start_0", (32, 32)), ("start_2", (3, 2))])
def test_start(golden, name, grid):
    size = tuple(golden[f"units/{name}_image"])
    ours = [start_state((int(x), int(y)), size, grid).numpy() for x, y in golden[f"units/{name}_points"]]
    assert difference(ours, golden[f"units/{name}"]) < 1e-6


@pytest.mark.parametrize("tau", [0.1, 0.3, 0.6])
@pytest.mark.parametrize("name", ["one", "two"])
def test_counts_of_two_islands(golden, name, tau):
    matrix = balance(torch.from_numpy(inputs.two_islands()))
    start = torch.zeros(1, 7)
    start[0, 1], start[0, 2] = 1, 0.5 * (name == "two")
    ours = count_steps(matrix, start, tau)[0]
    assert difference(ours, golden[f"units/count_islands_{name}_tau{tau}"]) < 1e-5


@pytest.mark.parametrize(("cells", "colours"), [(1.0, 0.1), (0.5, 0.3)])
@pytest.mark.parametrize("name", ["random", "smooth"])
def test_joint_bilateral(golden, name, cells, colours):
    noise, smooth = np.random.default_rng(932).random((23, 31, 3)), inputs.image(933, 23, 31) / 255
    guide = (noise if name == "random" else smooth).astype(np.float32)
    small = torch.from_numpy(inputs.small_map(5, 7, 931))[None]
    ours = joint_bilateral(small, torch.from_numpy(guide).permute(2, 0, 1), cells, colours)[0]
    assert difference(ours, golden[f"units/jbu_{name}_s{cells}_r{colours}"]) < 1e-5


@pytest.mark.parametrize("pixel", [(0, 0), (5, 4), (10, 8)])
@pytest.mark.parametrize("name", MAPS)
def test_flood(golden, name, pixel):
    ours = flood(MAPS[name], pixel[1], pixel[0])
    assert difference(ours, golden[f"units/flood_{name}_{pixel[0]}_{pixel[1]}"]) < 1e-6


@pytest.mark.parametrize("name", MAPS)
def test_borders_and_scores(golden, name):
    distance = MAPS[name]
    found = borders(distance, golden[f"units/edge_{name}"])
    assert np.array_equal(edges(distance), golden[f"units/edge_{name}"])
    for key in ("order", "length"):
        assert np.array_equal(getattr(found, key), golden[f"units/border_{name}_{key}"])
    assert np.array_equal(found.total, golden[f"units/border_{name}_sum"])
    same, other = ([distance[y, x] for x, y in group] for group in (SAME, OTHER))
    of = profile(distance)
    score = scores(of, same, other)
    assert difference(of.thresholds, golden[f"units/border_{name}_thresholds"]) == 0
    assert difference(score, golden[f"units/score_{name}"]) < 1e-4


@pytest.fixture(scope="module", params=["a", "b", "c"])
def scene(request):
    spec = inputs.SCENES[request.param]
    attention = inputs.attention(spec["seed"], spec["grid"][0], spec["grid"][1], spec.get("near", 12.0))
    picture = inputs.image(spec["seed"], *spec["image"])
    guide = torch.from_numpy(picture.astype(np.float32) / 255).permute(2, 0, 1)
    return (
        f"scene_{request.param}",
        MarkovMaps(Chain(torch.from_numpy(attention)), guide, spec["grid"]),
        picture,
        attention,
    )


def test_scenes(golden, scene):
    name, maps, picture, attention = scene
    values = picture.ravel().astype(np.int64)
    sums = [values.sum(), ((values * np.arange(values.size)) % 65521).sum()]
    assert sums == golden[f"{name}/image_checksum"].tolist()
    rows = golden[f"{name}/rows"]
    assert difference(sharpen(torch.from_numpy(attention))[rows, ::8], golden[f"{name}/sharpened_rows"]) < 1e-6
    balanced = golden[f"{name}/balanced_rows"]
    assert difference(maps.chain.matrix[rows, ::8] / torch.from_numpy(balanced), np.ones_like(balanced)) < 5e-5
    clicks = [Click(x, y) for x, y in golden[f"{name}/points"].tolist()]
    assert difference(maps.counts(clicks)[:, ::4, ::4], golden[f"{name}/count"]) < 5e-3
    distances = np.stack([maps.distance(click) for click in clicks])
    limit = 1e-3 if name == "scene_b" else 5e-5
    assert difference(distances[:, ::4, ::4], golden[f"{name}/distance"]) < limit


def test_masks_of_scenes(golden, scene):
    name, maps, picture, _ = scene
    for key, given in inputs.CLICKS[name[-1]].items():
        clicks = [Click(x, y, sign == 1) for x, y, sign in given]
        mask, score = maps.decide(clicks)
        assert np.array_equal(mask, unpacked(golden[f"{name}/{key}_mask"], picture.shape[:2])), key
        reach = radii([maps.distance(c) for c in clicks], [c.inside for c in clicks], [maps.pixel(c) for c in clicks])
        assert difference(reach, golden[f"{name}/{key}_threshold"]) < 2e-5
        others = np.ones(mask.shape, bool)
        for click in clicks:
            others[maps.pixel(click)] = False
        assert ((score >= 0.5) != mask)[others].mean() < 1e-3, key


def test_clicks_of_a_loop(golden):
    spec = inputs.SCENES["a"]
    guide = torch.from_numpy(inputs.image(900, 96, 128).astype(np.float32) / 255).permute(2, 0, 1)
    maps = MarkovMaps(Chain(torch.from_numpy(inputs.attention(900, *spec["grid"]))), guide)
    clicks = [Click(x, y, sign == 1) for x, y, sign in golden["scene_a/loop023_clicks"].tolist()]
    for k in range(1, len(clicks) + 1):
        expected = unpacked(golden["scene_a/loop023_masks"][k - 1], (96, 128))
        assert (maps.decide(clicks[:k])[0] != expected).mean() <= 2e-4


def test_without_the_flood_one_click_takes_both_things_of_its_kind(golden):
    spec = inputs.SCENES["c"]
    guide = torch.from_numpy(inputs.image(920, 60, 80).astype(np.float32) / 255).permute(2, 0, 1)
    attention = torch.from_numpy(inputs.attention(920, spec["grid"][0], spec["grid"][1], spec["near"]))
    mask, _ = MarkovMaps(Chain(attention), guide, flooded=False).decide([Click(18, 18)])
    assert np.array_equal(mask, unpacked(golden["scene_c/one_without_flood_mask"], (60, 80)))
