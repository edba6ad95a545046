"""Shards of open-vocabulary runs without labels (`--maps clip`, `--maps joined`): gathered they are the one run."""

import functools

import pytest
from fake_data import make_voc
from run_files import files

from iseg import ISeg
from iseg.cli import main as iseg
from iseg.shards import in_shard
from iseg.tagging import with_clip
from ovs.run import main as ovs

IDS = [(1,), (2, 3), (), (15,)]
NAMES = [f"2007_{number:06d}" for number in range(len(IDS))]
SHARDS = 3  # of which the second has the last image, and the third none


@pytest.fixture
def arguments(tmp_path, tiny, monkeypatch):
    """Four images, one of them broken, for the embedded models, with as few looks of CLIP as there can be."""
    voc = make_voc(tmp_path / "data", IDS, {"train": range(len(IDS))})
    (voc / "JPEGImages" / f"{NAMES[1]}.jpg").write_bytes(b"broken")
    monkeypatch.setattr(ISeg, "from_pretrained", lambda _, recipe, *__: ISeg(tiny.backbone, recipe))
    monkeypatch.setattr(with_clip, "load_clip", functools.cache(with_clip.load_clip))
    small = {"crop": 0, "further_sides": [], "mirror": "false", "shortest_side": 96, "score_threshold": 0.1,
             "candidate": 0.05, "agreement_threshold": 0.05}  # fmt: skip
    changes = [word for key, value in small.items() for word in (f"--clip_maps.{key}", str(value))]
    return ["--config", "ovs/demo", "--device", "cpu", "--data.root", str(tmp_path / "data"),
            "--data.split", "train", "--batch_size", "1", *changes]  # fmt: skip


@pytest.mark.parametrize(("maps", "bound"), [("clip", "false"), ("joined", "true")])
def test_shards_without_labels_are_the_run_and_a_missing_one_is_named(tmp_path, arguments, capsys, maps, bound):
    def run(out, *more):
        return ovs([*arguments, "--maps", maps, "--upper_bound", bound, "--out", str(tmp_path / out), *more])

    assert [in_shard(name, 2, SHARDS) for name in NAMES] == [False, False, False, True]
    assert run("whole") == 1
    printed = capsys.readouterr()
    assert len(list((tmp_path / "whole" / "presence").iterdir())) == len(NAMES) - 1
    parts = tmp_path / "parts"
    codes = [run("parts", "--shard", f"{index}/{SHARDS}") for index in (3, 1)]
    capsys.readouterr()
    assert iseg(["gather", str(parts)]) == 2
    assert f"shard 2/{SHARDS} is missing" in capsys.readouterr().err
    assert not (parts / "results.json").exists()
    assert not (parts / "presence_quality.json").exists()

    codes.append(run("parts", "--shard", f"2/{SHARDS}"))
    assert codes == [0, 1, 0]
    (parts / "masks" / f"{NAMES[3]}.png").unlink()
    capsys.readouterr()
    assert iseg(["gather", str(parts)]) == 2
    assert f"shard 2/{SHARDS} lacks {NAMES[3]}" in capsys.readouterr().err

    run("parts", "--shard", f"2/{SHARDS}")
    capsys.readouterr()
    assert iseg(["gather", str(parts)]) == 1
    gathered = capsys.readouterr()
    assert files(parts) == files(tmp_path / "whole")
    assert "| all labels" in gathered.out
    assert ("| the truth" in gathered.out) == (bound == "true")
    assert gathered.out.replace("parts", "whole").splitlines()[-1] == printed.out.splitlines()[-1]
