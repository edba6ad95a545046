"""The table of `decide`'s steps over ideal, raw and refined maps."""

import json
import shutil

import numpy as np
import torch
from fake_data import SIZES, labels, make_voc

from iseg.masks import label_map
from scripts.train_student import steps


def test_ideal_scores_are_the_mask_on_the_grid():
    for seed, size in enumerate(SIZES):
        label = labels(seed, size, (3, 9))
        scores, ids = steps.ideal_scores(label)
        assert ids == [3, 9]
        assert scores.shape == (2, *size)
        assert 0 <= scores.min() < scores.max() <= 1
        found = label_map(torch.from_numpy(scores), ids, "power", rescale=False).numpy()
        assert (found == label)[label != 255].mean() > 0.9
    assert steps.ideal_scores(np.full((4, 7), 255, np.uint8))[0].shape == (0, 4, 7)


def test_the_table_has_a_row_for_each_step_and_a_column_for_each_kind(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(steps, "prepare", lambda _: None)
    base = make_voc(tmp_path / "scenes", [(1,), (2, 3)], {"train": range(2)})
    like = tmp_path / "masks" / "iseg" / "scores"
    like.mkdir(parents=True)
    for number in range(2):
        (like / f"2007_{number:06d}.npz").touch()
    steps.write_ideal(tmp_path / "ideal", base / "SegmentationClassAug", like)
    for folder in ("iseg", "raw-cross-attention"):
        shutil.copytree(tmp_path / "ideal", tmp_path / "masks" / folder / "scores", dirs_exist_ok=True)
    assert steps.main(["--out", str(tmp_path), "--refine", "pamr"]) == 0
    lines = (tmp_path / "steps.md").read_text().splitlines()
    assert [line.split("|")[1].strip() for line in lines] == ["mIoU %", "------", "plain", "pamr"]
    assert [cell.strip() for cell in lines[0].split("|")[2:5]] == ["ideal", "raw", "iSeg"]
    figures = [json.loads((tmp_path / "steps" / kind / "decisions.json").read_text()) for kind in ("ideal", "iSeg")]
    assert figures[0][0]["miou"] == figures[1][0]["miou"] > 0.8
    assert lines[2].split("|")[2].strip() == f"{100 * figures[0][0]['miou']:.2f}"
