"""The benchmark: what it counts, that it leaves no trace, that its check can fail. No timing is asserted."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from iseg import ISeg, cluster
from iseg.backbones.find import find_row, locate
from iseg.backbones.unet import UNetBackbone
from iseg.cli.check.machine import device_name
from iseg.cluster import kl_kmeans
from iseg.errors import InputError
from iseg.files.plot import Axis, draw_lines, tick_step
from iseg.recipe import Recipe
from iseg.refine import reduce_entropy
from scripts import benchmark
from scripts.bench import case, dataset, plain, report
from scripts.bench.agreement import agreement
from scripts.bench.everything import everything
from scripts.bench.growth import product_cost, solve_cost
from scripts.bench.peaks import busy_share, count_flop, covered
from scripts.bench.stages import STAGES, stopwatch


def test_flop_of_a_convolution_and_of_attention():
    x, weight = torch.rand(1, 3, 8, 8), torch.rand(5, 3, 3, 3)
    assert count_flop(lambda: F.conv2d(x, weight, padding=1)) == 2 * 9 * 3 * 5 * 64
    q = torch.rand(1, 2, 16, 4)
    assert count_flop(lambda: F.scaled_dot_product_attention(q, q, q)) == 2 * (2 * 2 * 16 * 16 * 4)


def test_every_stage_is_seen_and_everything_is_put_back(tiny, scene):
    before = [getattr(owner, name) for owner, name in STAGES.values()]
    tiny.backbone.forget_prompts()
    with stopwatch(torch.device("cpu")) as spent:
        tiny.segment_batch([scene], [["cat", "dog"]])
    assert set(spent) == set(STAGES)
    assert all(seconds > 0 for seconds in spent.values())
    assert [getattr(owner, name) for owner, name in STAGES.values()] == before
    assert UNetBackbone.record is STAGES["unet"][0].record


def test_the_plain_clustering_and_entropy_are_the_methods():
    generator = torch.Generator().manual_seed(3)
    tokens = torch.rand((144, 9), generator=generator).softmax(1)
    ours = kl_kmeans(tokens, 12, rounds=6, stride=5)
    theirs = plain.loop_clusters(tokens, 6, 5)
    assert torch.allclose(cluster.pool(tokens, ours), cluster.pool(tokens, theirs.unique(return_inverse=True)[1]))
    attention = torch.rand((50, 50), generator=generator).softmax(1)
    assert torch.allclose(plain.plain_entropy(attention, 0.3), reduce_entropy(attention, 0.3), atol=1e-6)


def test_everything_mode_is_timed_after_the_pass(capsys):
    result = everything(1, torch.device("cpu"), size=256)
    assert result["grid"] == 32
    assert result["regions"] > 0
    assert "32x32 places" in capsys.readouterr().out


def test_a_case_in_its_own_process():
    done = subprocess.run(
        [sys.executable, "-m", "scripts.bench.case", json.dumps({"model": "tiny", "repeats": 1, "dtype": "float32"})],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    result = json.loads(done.stdout.splitlines()[-1])
    assert set(result["stages"]) == {*STAGES, "other", "total"}
    assert 0 < result["stages"]["other"] < result["stages"]["total"]
    assert result["peak RSS MB"] > 100
    assert (result["device"], result["busy"]) == (device_name(torch.device("cpu")), None)
    assert {"text", "encode", "unet"} == set(result["flop"])
    least = report.floor(result)
    assert least is not None
    assert 0 < least < result["stages"]["total"]


def test_tables_hold_ratios():
    def made(path, total, busy=None):
        name = {"path": path, "dtype": "float32", "batch": 2 if path == "iseg" else 1, "compile": False, "vae": None}
        stages = {"unet": total / 2, "total": total}
        return {"case": name, "device": "NVIDIA Fake", "busy": busy, "stages": stages, "peak RSS MB": 1000.0,
                "flop": {"unet": 10**12}, "peaks": {"gemm": 1.0, "convolution": 2.0}}  # fmt: skip

    results = [made("plain", 8.0), made("iseg", 4.0, 0.874)]
    text = report.case_table(results)
    assert text.startswith("| case on NVIDIA Fake | s / image | ")
    assert "| iseg float32 x2     |     2.000 |    0.25 |    8.00 |" in text
    assert [line.split("|")[8].strip() for line in text.splitlines()] == ["busy %", "-" * 8, "", "87"]
    assert "2000.0 (25%)" in report.stage_table(results)


@pytest.mark.parametrize(("seconds", "code"), [(1.0, 0), (9.5, 1)])
def test_the_check_fails_on_a_slow_path(monkeypatch, capsys, seconds, code):
    def measured(one: case.Case) -> dict:
        if one.path == "interaction":
            return {"stages": {"other": 0.1, "new entropy": 1.0}}
        ours = one.path == "iseg"
        stages = dict.fromkeys(("cluster", "entropy", "refine"), 0.1 if ours else 1.0)
        return {"stages": {**stages, "total": seconds if ours else 10.0}}

    monkeypatch.setattr(benchmark, "run_case", measured)
    assert benchmark.main(["--check"]) == code
    assert ("TOO SLOW" in capsys.readouterr().out) == bool(code)


@pytest.mark.parametrize("option", ["--batches=1,x", "--batches=0", "--profile=0", "--agreement=-1", "--repeats=0"])
def test_sizes_are_whole_numbers_from_one(option, capsys):
    with pytest.raises(SystemExit) as ended:
        benchmark.main([option])
    assert ended.value.code == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert option.split("=")[0] in error
    assert "Traceback" not in error


def test_a_case_that_cannot_run_is_one_line(capsys):
    assert benchmark.main(["--model", "nowhere/at/all", "--no-baseline"]) == 2
    error = capsys.readouterr().err
    assert "error: iseg " in error
    assert "batch 1 failed" in error
    assert "Traceback" not in error


def test_agreement_with_itself_is_complete(capsys):
    result = agreement(2, ["mixed", "bfloat16"], None)
    assert result["float32"]["equal pixels"] == 100
    assert result["mixed"]["equal pixels"] == 100  # the embedded weights are float16 already
    assert 99 < result["bfloat16"]["equal pixels"] <= 100
    assert "pixels equal" in capsys.readouterr().out


def test_agreement_of_another_vae_on_photographs(goldens, tmp_path, capsys):
    from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny

    torch.manual_seed(0)
    channels = (8, 8, 8, 8)
    vae = AutoencoderTiny(encoder_block_out_channels=channels, decoder_block_out_channels=channels)
    vae.save_pretrained(tmp_path / "small")
    result = agreement(1, [], str(tmp_path / "small"), str(goldens / "tiny_sd21_shape"))
    assert result["float32"] == {"mIoU": None, "equal pixels": 100}
    assert result[f"vae {tmp_path / 'small'}"]["equal pixels"] < 100
    assert "tiny_sd21_shape" in capsys.readouterr().out
    with pytest.raises(InputError, match="makes latents of 4 channels: the model takes 16"):
        agreement(1, [], str(tmp_path / "small"))


def test_a_run_over_a_data_set(capsys):
    result = dataset.profile(2, case.Case(batch=2))
    assert result["images"] == 2
    assert result["s / image"] > 0
    assert result["busy"] is None  # no GPU
    assert 0.5 < sum(result["operators"].values()) <= 1
    assert "ms an image from JPEG to PNG\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("spans", "length"), [([], 0), ([(1, 3)], 2), ([(5, 6), (1, 3), (2, 4)], 4), ([(0, 9), (1, 2), (3, 9)], 9)]
)
def test_overlapping_kernels_count_once(spans, length):
    assert covered(spans) == length


def test_peak_memory_is_the_process_own(tmp_path):
    # a process that holds 900 MB starts one that holds little
    code = "from scripts.bench.case import peak_memory; import torch; print(peak_memory(torch.device('cpu')))"
    start = f"subprocess.run([sys.executable, '-c', {code!r}])"
    outer = f"import subprocess, sys; held = bytearray(b'x') * (900 << 20); {start}"
    done = subprocess.run([sys.executable, "-c", outer], capture_output=True, text=True, check=True)
    assert 100 < float(done.stdout.split(": ")[1].rstrip("}\n")) < 850


def test_solve_cost_counts_the_matrix():
    assert solve_cost(12, 3)["MB"] == pytest.approx(144**2 * 4 / 2**20)


def test_product_cost_counts_what_is_kept():
    assert product_cost(100, side=12)["MB"] == pytest.approx(144**2 * 4 / 2**20)
    assert product_cost(5, side=12)["MB"] == pytest.approx(144**2 * 0.05 * 12 / 2**20, rel=0.2)


@pytest.mark.parametrize(("extent", "step"), [(60, 10), (6, 1), (7, 2), (100, 20), (0.3, 0.05)])
def test_ticks(extent, step):
    assert tick_step(extent) == pytest.approx(step)


def test_a_plot_is_drawn(tmp_path):
    draw_lines({"a": [(1, 3.0), (2, 500.0)]}, "title", tmp_path / "plot.png", Axis("images", "MB", 0))
    from PIL import Image

    drawn = np.asarray(Image.open(tmp_path / "plot.png"))
    assert (drawn != 255).any()


def test_random_weights_keep_activations_in_order():
    from scripts.bench.models import random_weight

    generator = torch.Generator().manual_seed(0)
    weight = random_weight("conv.weight", torch.Size((64, 32, 3, 3)), generator)
    assert float(F.conv2d(torch.randn(4, 32, 9, 9), weight).std()) == pytest.approx(1, abs=0.15)
    assert random_weight("norm.weight", torch.Size((5,)), generator).tolist() == [1] * 5
    assert random_weight("norm.bias", torch.Size((5,)), generator).tolist() == [0] * 5


def test_case_names(tiny):
    assert benchmark.describe(case.Case(dtype="float16", batch=4, compile=True)) == "iseg float16 batch 4 compiled"
    assert isinstance(tiny, ISeg)


def options(*arguments: str):
    return benchmark.build_parser().parse_args(arguments)


def test_every_case_runs_on_the_device_that_is_measured(monkeypatch):
    monkeypatch.setattr(benchmark, "pick_device", torch.device)  # as if it were there
    asked = options("--device", "cuda", "--dtypes", "auto,float16,float32", "--batches", "1,16", "--compile")
    chosen = benchmark.cases(asked)
    assert {each.device for each in chosen} == {"cuda"}
    assert [each.path for each in chosen] == ["plain", *["iseg"] * 8, "interaction"]
    assert [each.dtype for each in chosen if each.path == "iseg"] == ["float16"] * 4 + ["float32"] * 4
    assert [(each.batch, each.compile) for each in chosen[1:5]] == [(1, False), (1, True), (16, False), (16, True)]


def test_the_plain_case_takes_its_device_along(monkeypatch):
    made = []

    class Path(plain.PlainPath):
        def __init__(self, folder, row, recipe, device):
            made.append(device)
            super().__init__(folder, row, recipe, torch.device("cpu"))

    monkeypatch.setattr(case, "PlainPath", Path)
    monkeypatch.setattr(case, "pick_device", torch.device)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 3 << 20)
    result = case.measure_plain(case.Case("plain", device="cuda", repeats=1))
    assert made == [torch.device("cuda")]
    assert set(result["stages"]) == {*STAGES, "total"}
    assert result["peak device MB"] == 3


def test_the_plain_path_stays_on_its_device():
    """On "meta" a tensor of another device, or a look at a value, would raise."""
    row = find_row("tiny")
    recipe = Recipe().changed(**row.recipe)
    path = plain.PlainPath(locate(row), row, recipe, torch.device("meta"))
    weights = [weight for model in (path.text_encoder, path.unet, path.vae) for weight in model.parameters()]
    assert {weight.device.type for weight in weights} == {"meta"}
    stages = path.run(np.zeros((90, 140, 3), np.uint8), ["cat", "dog"])
    assert set(stages) == {*STAGES, "total"}
    tokens, attention = path.maps(48)
    assert (tokens.shape, attention.shape, tokens.device.type) == ((2304, 77), (2304, 2304), "meta")
    labels = plain.loop_clusters(tokens, 0, 6)
    assert (labels.shape, labels.device.type) == ((2304,), "meta")


def test_agreement_is_with_float32_on_the_cpu_whatever_the_device(monkeypatch, capsys):
    loaded = []
    load = ISeg.from_pretrained

    def from_pretrained(model, device, dtype, **rest):
        loaded.append((device, dtype))
        return load(model, device="cpu", dtype=dtype, **rest)  # no GPU here

    monkeypatch.setattr(ISeg, "from_pretrained", from_pretrained)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"NVIDIA Fake {device.index}")
    gpu = torch.device("cuda", 1)
    result = agreement(1, ["float16", "float32"], None, device=gpu)
    assert loaded == [("cpu", "float32"), (gpu, "float16"), (gpu, "float32")]
    assert list(result) == ["float32", "float16 on cuda", "float32 on cuda"]
    assert result["float32 on cuda"]["equal pixels"] == 100
    assert "tiny on NVIDIA Fake 1" in capsys.readouterr().out


def test_figures_carry_the_cards_name(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(benchmark, "pick_device", lambda _: torch.device("cuda", 0))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "NVIDIA Fake")
    monkeypatch.setattr("scripts.bench.agreement.agreement", lambda *_: {"float32": {"equal pixels": 100.0}})
    assert benchmark.main(["--agreement", "1", "--device", "cuda", "--json", str(tmp_path / "figures.json")]) == 0
    assert json.loads((tmp_path / "figures.json").read_text())["agreement"]["device"] == "NVIDIA Fake"


def test_off_cuda_no_busy_share_is_made_up():
    assert busy_share(lambda: None, torch.device("cpu")) is None


def test_a_device_that_is_not_there_is_one_line(capsys):
    assert benchmark.main(["--device", "cuda:99"]) == 2
    assert capsys.readouterr().err.startswith("error: device 'cuda:99' cannot be used here")
