"""`decide`: masks again from saved scores."""

import json
import shutil

import numpy as np
import pytest
import torch
from fake_data import picture
from PIL import Image

from iseg.data.read import read_label
from iseg.evaluate import main
from iseg.files.export import write_image, write_mask, write_scores
from iseg.masks import label_map
from iseg.polish.decision import apply_band, evidence, margins, parse_band

SIZES = {"a": (40, 60), "b": (33, 71), "c": (48, 48)}  # (H, W)
NAMES = {"a": ["cat", "dog"], "b": ["aeroplane"], "c": []}
IDS = {"aeroplane": 1, "cat": 8, "dog": 12}


def unit(maps: np.ndarray) -> np.ndarray:
    low, high = maps.min((1, 2), keepdims=True), maps.max((1, 2), keepdims=True)
    return (maps - low) / (high - low)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run's folder: pictures, scores, the masks that the power rule made of them, as truth."""
    root = tmp_path_factory.mktemp("run")
    for number, (name, size) in enumerate(SIZES.items()):
        write_image(root / "images" / f"{name}.png", picture(number, size))
        noise = np.random.default_rng(number).random((max(1, len(NAMES[name])), *size))
        scores = unit(noise).astype(np.float16)[: len(NAMES[name])]
        write_scores(root / "scores" / f"{name}.npz", scores, NAMES[name], size)
        mask = np.zeros(size, np.uint8)
        if len(scores):
            ids = [IDS[word] for word in NAMES[name]]
            mask = label_map(torch.from_numpy(scores.astype(np.float32)), ids, "power").numpy()
        write_mask(root / "masks" / f"{name}.png", mask)
    return root


def decide(run, out, *more, scores="scores") -> int:
    return main(["decide", "--scores", str(run / scores), "--out", str(out), *map(str, more)])


def rows(out) -> dict:
    return {row["name"]: row for row in json.loads((out / "decisions.json").read_text())}


def test_the_plain_row_is_the_run_itself(run, tmp_path, capsys):
    assert decide(run, tmp_path / "out", "--truth", run / "masks") == 0
    for name in SIZES:
        own, again = (read_label(folder / "masks" / f"{name}.png", 21) for folder in (run, tmp_path / "out" / "plain"))
        assert np.array_equal(own, again)
    row = rows(tmp_path / "out")["plain"]
    assert (row["miou"], row["pixel_accuracy"], row["undecided"], row["images"]) == (1.0, 1.0, 0.0, 3)
    assert "| plain    | 100.00 |" in capsys.readouterr().out


def test_another_threshold_gives_its_own_masks(run, tmp_path):
    assert decide(run, tmp_path, "--background", 0.9) == 0
    scores = np.load(run / "scores" / "b.npz")["scores"][0]
    assert np.array_equal(read_label(tmp_path / "plain" / "masks" / "b.png", 21) == 1, scores >= np.float32(0.9))
    assert rows(tmp_path)["plain"]["miou"] is None


def test_a_band_of_a_threshold_is_left_undecided(run, tmp_path):
    assert decide(run, tmp_path, "--background", 0.45, "--ignore", "0.35,0.55", "--truth", run / "masks") == 0
    scores = np.load(run / "scores" / "a.npz")["scores"].astype(np.float32)
    mask, best = read_label(tmp_path / "plain" / "masks" / "a.png", 21), scores.max(0)
    assert np.array_equal(mask == 255, (best > np.float32(0.35)) & (best < np.float32(0.55)))
    shares = [float((read_label(path, 21) == 255).mean()) for path in sorted((tmp_path / "plain/masks").glob("*.png"))]
    sizes = [height * width for height, width in SIZES.values()]
    assert rows(tmp_path)["plain"]["undecided"] == pytest.approx(np.average(shares, weights=sizes))


def test_the_margin_of_the_power_rule_is_that_to_the_second(run, tmp_path):
    assert decide(run, tmp_path, "--ignore", 0.2, "--truth", run / "masks") == 0
    scores = np.load(run / "scores" / "a.npz")["scores"].astype(np.float32)
    stack = np.sort(np.concatenate([(1 - scores.max(0, keepdims=True)) ** 2, scores]), 0)
    mask = read_label(tmp_path / "plain" / "masks" / "a.png", 21)
    assert np.array_equal(mask == 255, stack[-1] - stack[-2] < np.float32(0.2))
    with Image.open(tmp_path / "plain" / "confidence" / "a.png") as opened:
        assert np.allclose(np.asarray(opened) / 255, stack[-1] - stack[-2], atol=0.003)
    said = json.loads((tmp_path / "plain" / "confidence" / "a.json").read_text())
    assert said["undecided"] == pytest.approx((mask == 255).mean())
    cat = said["classes"]["cat"]
    assert cat["pixels"] == (mask == 8).sum()
    assert cat["confidence"] == pytest.approx(float((stack[-1] - stack[-2])[mask == 8].mean()), abs=1e-4)
    assert rows(tmp_path)["plain"]["miou_decided"] == 1.0


def test_steps_are_rows_of_their_own(run, tmp_path):
    steps = ["--refine", "pamr", "--refine", "pamr,bilateral"]
    more = [*steps, "--images", run / "images", "--truth", run / "masks"]
    assert decide(run, tmp_path, *more) == 0
    found = rows(tmp_path)
    assert list(found) == ["plain", "pamr", "pamr, bilateral"]
    assert found["plain"]["miou"] == 1.0
    assert found["pamr"]["miou"] < 1.0
    kept = {path.parent.parent.name for path in tmp_path.glob("*/masks/a.png")}
    assert kept == {"plain", "pamr", "pamr-bilateral"}
    assert set(np.unique(read_label(tmp_path / "pamr" / "masks" / "a.png", 21))) <= {0, 8, 12}


def test_margins_and_evidence_of_single_pixels():
    scores = torch.tensor([[[0.9, 0.2]], [[0.5, 0.1]]])  # (2, 1, 2)
    maps = evidence(scores, "power")
    assert torch.allclose(maps[0], torch.tensor([[0.01, 0.64]]))
    assert torch.allclose(margins(maps), torch.tensor([[0.4, 0.44]]))
    assert torch.allclose(margins(evidence(scores, 0.45)), torch.tensor([[0.4, 0.25]]))
    labels = torch.tensor([[1, 0]], dtype=torch.uint8)
    assert apply_band(labels, scores, margins(maps), parse_band("0.42", "power", False)).tolist() == [[255, 0]]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--ignore", "0.3,0.5"], "the power rule has no threshold: expected one margin"),
        (["--ignore", "0.5,0.3", "--background", "0.4"], "ignore is '0.5,0.3'"),
        (["--background", "2"], "background is '2'"),
        (["--refine", "pamr"], "give --images"),
        (["--refine", "sharpen", "--images", "{run}/images"], "unknown step 'sharpen'"),
        (["--refine", "pamr", "--refine", "pamr", "--images", "{run}/images"], "pamr was given twice"),
        (["--background", "0.4", "--ignore", "0.3,0.5", "--refine", "pamr", "--images", "{run}/images"], "polished"),
        (["--truth", "{run}/nowhere"], "no such folder"),
    ],
)
def test_bad_usage_is_one_clear_line(run, tmp_path, capsys, more, said):
    assert decide(run, tmp_path / "out", *[text.format(run=run) for text in more]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert said in lines[0]
    assert not (tmp_path / "out").exists()


def test_images_that_fail_are_told_and_the_rest_is_done(run, tmp_path, capsys):
    shutil.copytree(run / "scores", tmp_path / "scores")
    (tmp_path / "scores" / "broken.npz").write_bytes(b"no scores")
    write_scores(tmp_path / "scores" / "odd.npz", np.zeros((1, 4, 6)), ["unicorn"], (4, 6))
    assert decide(tmp_path, tmp_path / "out", "--truth", run / "masks") == 1
    told = "".join(capsys.readouterr())
    assert "broken.npz: not readable as scores" in told
    assert "'unicorn'" in told
    assert len(list((tmp_path / "out" / "plain" / "masks").glob("*.png"))) == 3


def test_other_settings_do_not_mix_in_one_folder(run, tmp_path, capsys):
    assert decide(run, tmp_path) == 0
    assert decide(run, tmp_path, "--background", 0.5) == 2
    assert "another configuration" in capsys.readouterr().err
