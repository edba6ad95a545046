"""Goldens a-e: the pure steps against outputs of the published method, at the tolerances given with them."""

import golden_inputs as inputs
import numpy as np
import pytest
import torch

from iseg import cluster, cross, masks, refine, seeds
from iseg.evaluate.metrics import ConfusionMatrix

VOC_HEADS = {
    32: [22, 5, 21, 13, 8, 27, 28, 6, 25],
    16: [76, 1, 43, 17, 81, 6, 44, 27, 2, 8, 22, 20, 60, 78, 12, 83, 94, 47, 88, 96, 3, 33, 46, 52, 77, 93, 51, 58, 0,
         13, 14, 19, 34, 41, 59, 87, 16, 24, 28, 30, 32],
}  # fmt: skip
WEIGHTS = {16: 0.7, 32: 0.3}
UI_SIZE = (300, 451)


def difference(ours, golden) -> float:
    return float(np.abs(np.asarray(ours, np.float64) - np.asarray(golden, np.float64)).max())


@pytest.fixture(scope="module")
def golden_a(data):
    return np.load(data / "a_cluster.npz")


@pytest.fixture(scope="module")
def golden_c(data):
    return np.load(data / "c_refine.npz")


@pytest.fixture(scope="module")
def fused():
    maps = {resolution: torch.from_numpy(values) for resolution, values in inputs.cross_maps().items()}
    return {name: cross.fuse(maps, WEIGHTS, heads) for name, heads in (("attmean1", None), ("attmean0", VOC_HEADS))}


def test_symmetric_kl(golden_a):
    p, q = map(torch.from_numpy, inputs.kl_pair())
    assert difference(cluster.symmetric_kl(p, q), golden_a["kl_fp64"]) < 1e-5
    half = cluster.symmetric_kl(p, q, torch.float16)
    assert difference(half, golden_a["kl_fp64"]) <= 0.0077
    assert difference(half, golden_a["kl_fp16"]) < 1e-3


def test_anchors(golden_a):
    assert np.array_equal(cluster.grid_anchors(64, 11).reshape(6, 6), golden_a["grid"])


def test_clusters_of_smooth_maps(golden_a):
    x = torch.from_numpy(inputs.cluster_input()).flatten(1).T
    assert np.array_equal(cluster.kl_kmeans(x, 64), golden_a["c20_cluster_fp64"])
    assert np.array_equal(cluster.kl_kmeans(x, 64, rounds=1), golden_a["c20_first_fp64"])
    half = cluster.kl_kmeans(x, 64, dtype=torch.float16).numpy()
    assert (half == golden_a["c20_cluster_fp16"]).mean() > 0.98  # half precision is not reproducible to the pixel


@pytest.mark.parametrize(("name", "key"), [("attmean1", "t77_mean"), ("attmean0", "t77_idx")])
def test_clusters_of_token_maps(golden_a, fused, name, key):
    x = fused[name].flatten(1).T
    assert np.array_equal(cluster.kl_kmeans(x, 64), golden_a[f"{key}_cluster_fp64"])


@pytest.mark.parametrize("name", ["attmean0", "attmean1"])
def test_class_maps(data, fused, name):
    golden = np.load(data / "b_process_cross_att.npz")
    spans = [[4], [6, 7]]
    assert difference(cross.class_maps(fused[name], spans, cluster=False), golden[f"out_{name}_cluster0"][0]) < 1e-8
    assert (
        difference(cross.class_maps(fused[name], spans, cluster=True), golden[f"out_{name}_cluster1_fp32kl"][0]) < 1e-7
    )


def test_class_maps_of_the_interactive_mode(data, fused):
    golden = np.load(data / "b_process_cross_att.npz")["out_base_ui"][0]
    assert difference(cross.class_maps(fused["attmean1"], [[4], [6, 7]], cluster=False), golden) < 1e-8


@pytest.fixture(scope="module")
def published_attention():
    return torch.from_numpy(inputs.self_attention([1, 2]))


@pytest.mark.parametrize("weight", [0.0, 0.002, 0.015, 0.1, 0.2])
def test_refinement(golden_c, published_attention, weight):
    matrix = refine.reduce_entropy(published_attention, weight)
    if weight:
        assert difference(matrix[golden_c["rows"]], golden_c[f"P_rows_ent{weight}"]) < 1e-6
        assert (matrix == 0).double().mean().item() == pytest.approx(golden_c[f"P_zero_frac_ent{weight}"], abs=1e-5)
    steps = refine.refine(matrix, torch.from_numpy(inputs.cross_attention()), 10, trajectory=True)
    compared = 0
    for iteration in (0, 1, 5, 8, 10):
        grid = steps[iteration].T.reshape(3, 64, 64)
        if (key := f"att64_ent{weight}_iter{iteration}") in golden_c:
            assert difference(masks.min_max(grid), golden_c[key]) < 2e-5
            compared += 1
        if (key := f"att512_ent{weight}_iter{iteration}") in golden_c:
            large = masks.min_max(masks.resize(grid, (512, 512)))[0]
            assert difference(large, golden_c[key]) < 1e-3
    assert compared == (5 if weight else 1)


def test_refinement_of_a_single_position(golden_c, published_attention):
    matrix = refine.reduce_entropy(published_attention, 0.015)
    onehot = torch.zeros(4096, 1)
    onehot[32 * 64 + 32] = 1
    refined = masks.min_max(refine.refine(matrix, onehot, 10).T.reshape(1, 64, 64))
    assert difference(refined, golden_c["edge_onehot"]) < 2e-5


@pytest.mark.parametrize(("key", "value"), [("edge_const", 0.5), ("edge_zero", 0.0)])
def test_constant_maps_are_empty_where_the_published_method_gives_nan(golden_c, published_attention, key, value):
    assert np.isnan(golden_c[key]).all()
    matrix = refine.reduce_entropy(published_attention, 0.015)
    assert torch.equal(refine.refine(matrix, torch.full((4096, 1), value), 10), torch.zeros(4096, 1))


@pytest.mark.parametrize("background", ["power", 0.3, 0.45])
def test_labels(data, background):
    golden = np.load(data / "d_labels.npz")
    suffix = "0" if background == "power" else str(background)
    cams = torch.from_numpy(inputs.cams())
    labels = masks.label_map(cams[[2, 7, 14]], [3, 8, 15], background)
    assert np.array_equal(labels, golden[f"label_thr{suffix}"])
    if background != 0.3:
        sparse = torch.stack([cams[2], torch.full((64, 64), 0.5)])
        assert np.array_equal(masks.label_map(sparse, [3, 8], background), golden[f"sparse_label_thr{suffix}"])


def test_scores(data):
    golden = np.load(data / "d_labels.npz")
    target, prediction = inputs.label_maps()
    matrix = ConfusionMatrix(21)
    matrix.update(target, prediction)
    matrix.update(target.T, prediction)
    assert np.array_equal(matrix.counts, golden["hist"])
    assert difference(matrix.iou()[matrix.present()], golden["IoU"][matrix.present()]) < 1e-12
    assert difference(matrix.mean_iou(), golden["mIoU"]) < 1e-12
    assert difference(matrix.mean_accuracy(), golden["mAcc"]) < 1e-12
    assert difference(matrix.pixel_accuracy(), golden["pAcc"]) < 1e-12


LINE = [(x, 80 + x // 4) for x in range(100, 300, 5)]
UI_CASES = {
    "point_e0.015_i1": (seeds.points([(200, 120)], UI_SIZE), 0.015, 1, 0.5),
    "point_e0.1_i5": (seeds.points([(30, 280)], UI_SIZE), 0.1, 5, 0.4),
    "line_e0.05_i2": (seeds.line(LINE, UI_SIZE), 0.05, 2, 0.5),
    "line_one_point_e0.05_i2": (seeds.line([(200, 120)], UI_SIZE), 0.05, 2, 0.5),
    "box_e0.015_i3": (seeds.box((120, 60, 300, 200), UI_SIZE), 0.015, 3, 0.5),
    "point_i0": (seeds.points([(200, 120)], UI_SIZE), 0.0, 0, 0.5),
}


@pytest.fixture(scope="module")
def interactive_attention():
    return torch.from_numpy(inputs.self_attention([0, 1, 2, 3, 4]))


@pytest.mark.parametrize("case", UI_CASES)
def test_interactive(data, interactive_attention, case):
    golden = np.load(data / "e_ui.npz")
    columns, entropy, iterations, threshold = UI_CASES[case]
    matrix = refine.reduce_entropy(interactive_attention, entropy, clamp_max=1.0, normalize_rows=True)
    heat = masks.score_maps(seeds.merge(refine.refine(matrix, columns, iterations)), UI_SIZE, working_size=None)
    assert difference(heat[0], golden[f"{case}_heat"]) < 1e-3
    expected = np.unpackbits(golden[f"{case}_mask"])[: UI_SIZE[0] * UI_SIZE[1]].reshape(UI_SIZE)
    labels = masks.label_map(heat, [1], threshold, rescale=False)
    assert (labels.numpy() != expected).mean() < 2e-4


def test_an_empty_box_is_refused(interactive_attention):
    # the published page turns it into NaN heat and an all-ones mask
    with pytest.raises(ValueError, match="is empty"):
        seeds.box((120, 60, 120, 60), UI_SIZE)
