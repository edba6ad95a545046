"""The self-attention of all layers as one matrix: brute force, and what a model records for it."""

import threading

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from iseg import pipeline
from iseg.attention import Layers
from iseg.backbones.seam import Condition
from iseg.regions import aggregate
from iseg.regions.find import find_regions
from iseg.regions.settings import RegionSettings


def rows(side: int, layers: int, seed: int) -> torch.Tensor:
    random = np.random.default_rng(seed).dirichlet(np.full(side**2, 0.5), (layers, side**2))
    return torch.from_numpy(random.sum(0)).float()


def test_layers_are_aggregated_place_by_place():
    maps = {2: rows(2, 1, 0), 4: rows(4, 3, 1), 8: rows(8, 2, 2)}
    counts = {2: 1, 4: 3, 8: 2}
    found = aggregate(maps)
    for y, x in [(0, 0), (3, 5), (7, 7), (6, 1)]:
        total = torch.zeros(64)
        for side, own in maps.items():
            row = own[(y * side // 8) * side + x * side // 8].reshape(1, 1, side, side)
            keys = interpolate(row, (8, 8), mode="bilinear", align_corners=False).flatten()
            total += side * counts[side] * keys / keys.sum()
        torch.testing.assert_close(found[y * 8 + x], total / total.sum())
    torch.testing.assert_close(found.sum(1), torch.ones(64))
    torch.testing.assert_close(aggregate({4: 3 * maps[4]}), maps[4] / maps[4].sum(1, keepdim=True))


def test_a_pass_records_every_layer_and_head(tiny):
    backbone = tiny.backbone
    latents = backbone.noised(torch.zeros(1, backbone.unet.config.in_channels, 32, 32))
    condition = Condition(torch.zeros(1, backbone.row.tokens, backbone.unet.config.cross_attention_dim), [[]])
    names = [name.removesuffix(".attn1") for name, _ in backbone.unet.named_modules() if name.endswith(".attn1")]
    found = backbone.record(latents, condition, Layers(every_self=True)).every_self
    expected: dict[int, torch.Tensor] = {}
    for name in names:
        heads = backbone.unet.get_submodule(f"{name}.attn1").heads
        one = backbone.record(latents, condition, Layers({}, {name: range(heads)})).self_attention
        side = round(one.shape[1] ** 0.5)
        expected[side] = expected.get(side, 0) + one
    assert len(found) > 1
    assert found.keys() == expected.keys()
    for side, each in expected.items():
        torch.testing.assert_close(found[side], each)


def test_merging_reads_every_layer_and_the_others_what_the_recipe_records(tiny, scene):
    state = tiny.set_image(scene)
    merged = tiny.regions(method="merge", coarse=0.3)
    assert state.kept == 1
    attended = tiny.attend_image(state, tiny.recipe, every_layer=True)
    assert state.kept == 1  # the same pass
    expected = find_regions(attended.attention, attended.attention, state.size, RegionSettings("merge", 0.3))
    assert (merged.labels == expected.labels).all()
    finest = tiny.regions(method="merge", coarse=0.3, every_layer=False)
    assert state.kept == 2
    assert not np.allclose(finest.maps[0], merged.maps[0])


def test_sides_need_not_divide_each_other():
    found = aggregate({2: rows(2, 1, 0), 5: rows(5, 1, 1)})
    assert found.shape == (25, 25)
    torch.testing.assert_close(found.sum(1), torch.ones(25))


@pytest.mark.parametrize("method", ["merge", "cut", "ours"])
def test_the_matrix_is_read_while_the_model_is_held(tiny, scene, monkeypatch, method):
    held = []

    def spied(*arguments):
        other = threading.Thread(target=lambda: held.append(not tiny._lock.acquire(blocking=False)))
        other.start()
        other.join()
        return find_regions(*arguments)

    monkeypatch.setattr(pipeline, "find_regions", spied)
    tiny.regions(image=tiny.set_image(scene), method=method)
    assert held == [True]
