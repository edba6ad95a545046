"""The `iseg` command: what it writes and says, how settings are found, how results are named."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from iseg import __version__
from iseg.cli import main, segment, worker
from iseg.cli.inputs import list_items
from iseg.cli.pixels import parse_box, parse_points
from iseg.cli.prompts import parse_classes
from iseg.cli.settings import read_job
from iseg.recipe import load_recipe


@pytest.fixture
def model(tiny, monkeypatch):
    """The embedded model for every run, with the job's recipe; loaded once for all tests."""

    def load(job):
        tiny.recipe = job.recipe
        return tiny

    own = tiny.recipe
    monkeypatch.setattr(worker, "load_model", load)
    yield tiny
    tiny.recipe = own


@pytest.fixture
def photo(tmp_path, scene):
    """A non-square image file (90, 140)."""
    path = tmp_path / "in" / "photo.png"
    path.parent.mkdir()
    Image.fromarray(scene).save(path)
    return path


def files(folder):
    found = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    return sorted(
        path.as_posix() for path in found if not path.parts[0].startswith(".")
    )  # locks and settings of the run


def test_version_and_help_need_no_torch():
    code = (
        "import sys; from iseg.cli import main\n"
        "assert main(['--version']) == 0 and main(['--help']) == 0 and main(['segment', '--help']) == 0\n"
        "assert main(['segment', 'a.png', '--classes', 'cat', '--colour', 'red', '--model', 'tiny']) == 2\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"iseg {__version__}" in done.stdout
    assert "--iterations" in done.stdout
    assert done.stderr == "error: unrecognized arguments: --colour red\n"


def test_module_runs_as_the_command():
    done = subprocess.run([sys.executable, "-m", "iseg", "--version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"iseg {__version__}\n", "")


def test_models_lists_backbones(capsys):
    assert main(["models", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert {"tiny", "sd21-base"} <= set(rows)
    assert Path(rows["tiny"]["weights"]).is_dir()
    assert "cat" in rows["tiny"]["words"]
    assert main(["models"]) == 0
    said = capsys.readouterr().out
    assert "tiny: embedded" in said
    assert "weights: at hand" in said


def test_every_kind_is_saved(model, photo, tmp_path, capsys):
    out = tmp_path / "out"
    save = "mask,overlay,heat,cutout,scores,coco,panel,animation"
    arguments = [str(photo), "--classes", "cat; potted plant", "--model", "tiny", "--out", str(out), "--save", save]
    assert main(["segment", *arguments, "--iterations", "2"]) == 0
    endings = "animation.webp coco.json cutout.cat.png cutout.potted_plant.png heat.cat.png heat.potted_plant.png json"
    endings += " overlay.png panel.png png scores.npz"
    assert files(out) == [f"photo.{ending}" for ending in endings.split()]
    expected = _segment(model, photo, classes=["cat", "potted plant"], iterations=2)
    with Image.open(out / "photo.png") as mask:
        assert mask.mode == "P"
        assert np.array_equal(np.array(mask), expected.mask)
        assert (mask.getpalette() or [])[:6] == [0, 0, 0, 128, 0, 0]
    with np.load(out / "photo.scores.npz") as saved:
        assert np.abs(saved["scores"] - expected.scores).max() < 1e-3
    with Image.open(out / "photo.animation.webp") as animation:
        frame_count = animation.n_frames  # type: ignore[attr-defined]  # only formats of many frames have it
        assert frame_count <= 3  # equal frames are merged by the encoder
    with Image.open(out / "photo.cutout.cat.png") as cut:
        assert np.array_equal(np.array(cut)[..., 3] > 0, expected.mask == 1)
    said = capsys.readouterr()
    assert said.err == ""
    assert said.out.startswith(f"{photo} -> {out / 'photo.png'}: cat ")
    _check_sidecar(json.loads((out / "photo.json").read_text()), expected)


def _segment(model, photo, **settings):
    model.set_image(photo)
    return model.segment(**settings)


def _check_sidecar(sidecar, expected):
    shares = [(expected.mask == k).mean() for k in (1, 2)]
    assert [(entry["label"], entry["name"]) for entry in sidecar["classes"]] == [(1, "cat"), (2, "potted plant")]
    assert [entry["share"] for entry in sidecar["classes"]] == pytest.approx(shares, abs=1e-5)
    assert (sidecar["iseg"], sidecar["image"]["width"], sidecar["image"]["height"]) == (__version__, 140, 90)
    assert sidecar["prompt"] == {"classes": ["cat", "potted plant"]}
    assert sidecar["model"]["name"] == "tiny"
    assert sidecar["model"]["noise_seed"] == 1101
    assert sidecar["settings"]["iterations"] == 2
    assert sidecar["settings"]["background"] == "power"


@pytest.mark.parametrize(
    ("options", "prompt"),
    [
        (["--points", "60,40 70,42", "--negative", "5,5"], {"points": [(60, 40), (70, 42)], "negative": [(5, 5)]}),
        (["--line", "50,40 70,40"], {"line": [(50, 40), (70, 40)]}),
        (["--box", "35,15,86,66"], {"box": (35, 15, 86, 66)}),
    ],
)
def test_seeds_give_one_object(model, photo, tmp_path, options, prompt):
    out = tmp_path / "out"
    assert main(["segment", str(photo), *options, "--model", "tiny", "--out", str(out), "--background", "0.3"]) == 0
    expected = _segment(model, photo, **prompt)
    with Image.open(out / "photo.png") as mask:
        assert np.array_equal(np.array(mask), expected.mask)
    assert files(out) == ["photo.json", "photo.overlay.png", "photo.png"]
    assert json.loads((out / "photo.json").read_text())["prompt"] == json.loads(json.dumps(prompt))


def test_folder_goes_on_after_a_bad_image(model, photo, tmp_path, capsys):
    out, folder = tmp_path / "out", photo.parent
    (folder / "bad.jpg").write_text("no image")
    (folder / "sub").mkdir()
    Image.open(photo).convert("L").save(folder / "sub" / "grey.png")
    missing = str(tmp_path / "missing.png")
    options = ["--classes", "cat", "--model", "tiny", "--out", str(out), "--save", "mask"]
    assert main(["segment", str(folder), missing, *options]) == 1
    said = capsys.readouterr()
    assert files(out) == ["photo.json", "photo.png", "sub/grey.json", "sub/grey.png", "summary.json"]
    errors = said.err.splitlines()
    assert len(errors) == 2
    assert errors[0].startswith(f"error: {folder / 'bad.jpg'}: not an image")
    assert errors[1] == f"error: {missing}: no such image file"
    assert "2 of 4 images done, 2 failed:" in said.out
    assert f"  {missing}: no such image file" in said.out


def test_settings_come_from_recipe_then_file_then_command_line(tmp_path):
    (tmp_path / "recipe.yaml").write_text(
        "recipe: {cross_weights: {12: 1}, iterations: 7, entropy: 0.2, background: 0.4}"
    )
    content = {"recipe": str(tmp_path / "recipe.yaml"), "model": "tiny", "classes": ["cat", "dog"], "entropy": 0.3}
    (tmp_path / "all.yaml").write_text(yaml.safe_dump(content))
    job = read_job(["a.png", "--config", str(tmp_path / "all.yaml"), "--background", "power"])
    assert (job.recipe.iterations, job.recipe.entropy, job.recipe.background) == (7, 0.3, "power")
    assert job.prompt is not None
    assert (job.prompt.classes, job.settings.model, job.images, job.save) == (
        ["cat", "dog"],
        "tiny",
        ["a.png"],
        ["mask", "overlay"],
    )
    assert load_recipe(tmp_path / "recipe.yaml").entropy == 0.2


def test_backbone_gives_the_defaults():
    assert read_job(["a.png", "--points", "1,1", "--model", "tiny"]).recipe.background == "power"
    heads = read_job(["a.png", "--points", "1,1", "--model", "sd21-base"]).recipe.cross_heads
    assert heads is not None
    assert heads[32][0] == 10


def test_printed_config_can_be_given_back(capsys, tmp_path):
    arguments = ["--classes", "cat", "--model", "tiny", "--iterations", "4"]
    assert main(["segment", "a.png", *arguments, "--print_config"]) == 0
    printed = capsys.readouterr().out
    assert yaml.safe_load(printed)["iterations"] == 4
    (tmp_path / "again.yaml").write_text(printed)
    assert (
        read_job(["a.png", "--config", str(tmp_path / "again.yaml")]).recipe == read_job(["a.png", *arguments]).recipe
    )


def test_default_model_is_tiny_with_a_note_when_there_are_no_other_weights(model, photo, tmp_path, monkeypatch, capsys):
    from iseg.cli import settings
    from iseg.errors import InputError

    def nowhere(backbone, download):
        assert (backbone.name, download) == ("sd21-base", False)
        raise InputError("none")

    monkeypatch.setattr(settings, "locate", nowhere)
    assert main(["segment", str(photo), "--classes", "cat", "--out", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().err.count("using tiny") == 1
    monkeypatch.setattr(settings, "locate", lambda backbone, download: tmp_path)
    job = read_job(["a.png", "--classes", "unicorn"])
    assert (job.settings.model, job.note) == ("sd21-base", None)


def test_results_never_share_a_name(tmp_path):
    names = ["a/cat.jpg", "b/cat.jpg", "b/cat.png", "b/CAT.overlay.png", "c/dog.v2.jpg", "c/dog.jpg"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    items = list_items([str(tmp_path / name) for name in [*names, "a/../a/cat.jpg"]], tmp_path / "out")
    assert [item.name for item in items] == ["a/cat.jpg", "b/cat.jpg", "cat.png", "CAT.overlay.png", "dog.v2", "dog"]
    assert [item.image for item in items] == [tmp_path / name for name in names]
    alone = list_items([str(tmp_path / "a" / "cat.jpg")], tmp_path / "out")
    assert [item.name for item in alone] == ["cat"]


def test_folder_leaves_out_hidden_files_and_its_own_results(tmp_path):
    for name in ["cat.jpg", "deep/er/dog.PNG", ".hidden.png", ".git/a.png", "out/cat.png", "notes.txt"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    items = list_items([str(tmp_path)], tmp_path / "out")
    assert [item.name for item in items] == ["cat", "deep/er/dog"]


def test_prompts_are_parsed():
    pairs: list[list[float]] = [[1, 2], [3, 4]]
    corners: list[float] = [1, 2, 3, 4]
    assert parse_classes(" cat ;potted plant; ") == ["cat", "potted plant"]
    assert parse_classes(["cat"]) == ["cat"]
    assert parse_points("--points", "1,2 3.5,4;5,6") == [(1, 2), (3.5, 4), (5, 6)]
    assert parse_points("--points", pairs) == [(1, 2), (3, 4)]
    assert parse_box("--box", "1,2,3,4") == parse_box("--box", corners) == (1, 2, 3, 4)


def test_interruption_has_its_own_code(monkeypatch, capsys):
    def interrupted(arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(segment, "run", interrupted)
    assert main(["segment", "a.png"]) == 130
    assert capsys.readouterr().err == "interrupted\n"
