"""Runs in processes of their own: killed and resumed, spread over processes, and the entry that people call."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import process_environment
import pytest
import yaml
from fake_data import fake_run, make_voc

from iseg.backbones.table import load_row
from iseg.evaluate import main
from iseg.evaluate.config import Evaluation
from iseg.evaluate.read_config import load_evaluation
from iseg.recipe import load_recipe

ROOT = process_environment.ROOT
IDS = [(1,), (2, 3), (), (15,), (20, 4, 7), (5,), (12, 8), (9,)]
ENVIRONMENT = process_environment.ENVIRONMENT | {"FAKE_WORDS": "2"}  # one image asks for three words


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """A configuration over eight images; returns the arguments that run it into a folder."""
    folder = tmp_path_factory.mktemp("set")
    content = fake_run(folder, IDS) | {"save_scores": True, "batch_size": 2}
    (folder / "fake.yaml").write_text(yaml.safe_dump(content))
    return lambda out, *more: ["run", "--config", str(folder / "fake.yaml"), "--out", str(out), *map(str, more)]


FAKE = [sys.executable, str(ROOT / "tests" / "fake_model.py")]
LAUNCH = [sys.executable, "-m", "accelerate.commands.accelerate_cli", *process_environment.TWO_PROCESSES]


def call(command, **more) -> subprocess.CompletedProcess:
    return subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT | more, timeout=500)


def files(folder: Path) -> dict[str, bytes]:
    """Every result of a run, by path."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "config.yaml" and path.parent.name != ".lock"
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory, config):
    """An uninterrupted run in one process."""
    out = tmp_path_factory.mktemp("whole")
    done = call([*FAKE, *config(out)])
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (out / "passes").iterdir()] == ["2007_000004.json"]
    return out


def test_killed_and_started_again_is_byte_identical(tmp_path, config, whole):
    command = [*FAKE, *config(tmp_path / "out")]
    with subprocess.Popen(command, env=ENVIRONMENT | {"FAKE_DELAY": "1"}, stderr=subprocess.DEVNULL) as run:
        deadline = time.monotonic() + 400
        while len(list((tmp_path / "out" / "masks").glob("*.png"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        run.send_signal(signal.SIGKILL)
    left = len(list((tmp_path / "out" / "masks").glob("*.png")))
    assert run.returncode == -signal.SIGKILL
    assert 2 <= left < 7
    again = call(command)
    assert again.returncode == 0, again.stderr
    assert f"{left} of 8 images were segmented before" in again.stdout
    assert files(tmp_path / "out") == files(whole)


def test_two_processes_make_what_one_makes(tmp_path, config, whole):
    launched = call([*LAUNCH, *FAKE[1:], *config(tmp_path / "out")])
    assert launched.returncode == 0, launched.stderr
    assert launched.stdout.count("mIoU") == 1  # one process speaks
    assert files(tmp_path / "out") == files(whole)


def test_two_processes_sum_up_their_failures(tmp_path, config):
    labels = tmp_path / "labels.json"
    labels.write_text(json.dumps({f"2007_{number:06d}": ["cat"] for number in (0, 1, 4, 5)}))
    launched = call([*LAUNCH, *FAKE[1:], *config(tmp_path / "out", "--data.labels", labels)])
    assert launched.returncode != 0
    assert "4 of 8 images failed" in launched.stderr
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert sorted(results["failures"]) == [f"2007_{number:06d}" for number in (2, 3, 6, 7)]
    assert results["images"] == 4


def test_batches_of_the_embedded_model_agree(tiny):
    rng = np.random.default_rng(3)
    images = [rng.integers(0, 255, (*size, 3), np.uint8) for size in ((60, 90), (80, 50), (64, 64), (45, 77))]
    classes = [["cat"], ["dog", "sofa"], ["potted plant"], ["car", "bus", "train"]]
    together = tiny.segment_batch(images, classes)
    for image, words, result in zip(images, classes, together, strict=True):
        alone = tiny.segment_batch([image], [words])[0]
        assert np.abs(alone.scores - result.scores).max() < 1e-4
        assert (alone.mask == result.mask).mean() > 0.999


def test_published_recipes_are_those_of_the_paper():
    voc, coco = load_recipe("wsss/voc"), load_recipe("wsss/coco")
    assert voc.prompt == coco.prompt == "a photograph of {classes} and other object and background, {context}"
    assert voc.context == "ground, land, grass, tree, building, wall, sky, lake, water"
    assert coco.context == f"{voc.context}, river, sea, railway, "
    assert (voc.iterations, voc.entropy, voc.background) == (10, 0.015, "power")
    assert (coco.iterations, coco.entropy, coco.background) == (10, 0.1, 0.45)
    assert voc.cross_heads is not None
    assert (len(voc.cross_heads[32]), len(voc.cross_heads[16]), coco.cross_heads) == (9, 41, None)
    for recipe in (voc, coco):
        assert (recipe.enhancement, recipe.cluster, recipe.self_heads, recipe.working_size) == (1.6, True, [1, 2], 512)
        assert (recipe.entropy_clamp_max, recipe.entropy_normalize_rows, recipe.resize) == (None, False, "opencv")
        layers = load_row("sd21-base").layers(recipe)
        assert layers.self_attention == {"up_blocks.3.attentions.1.transformer_blocks.0": [1, 2]}
    # flat head 22 at 32x32 is head 2 of the third layer, 76 at 16x16 head 16 of the fourth
    chosen = load_row("sd21-base").layers(voc).cross_attention
    assert 2 in chosen[32]["up_blocks.2.attentions.1.transformer_blocks.0"]
    assert 16 in chosen[16]["up_blocks.1.attentions.1.transformer_blocks.0"]
    assert sum(map(len, chosen[16].values())) == 41


@pytest.mark.parametrize("task", ["voc", "coco"])
def test_switches_work_on_the_recipe(task):
    published: Evaluation = load_evaluation(["--config", f"wsss/{task}"], "x")
    repaired: Evaluation = load_evaluation(["--config", f"wsss/{task}", "--prompt", "repaired"], "x")
    assert repaired.recipe.context != published.recipe.context
    assert not repaired.recipe.context.endswith(", ")
    assert repaired.recipe.changed(context=published.recipe.context) == published.recipe
    assert load_evaluation(["--config", f"wsss/{task}", "--entropy_reduction", "false"], "x").recipe.entropy == 0
    assert load_evaluation(["--config", f"wsss/{task}", "--recipe.cluster", "false"], "x").recipe.cluster is False


def test_demo_takes_the_backbones_own_recipe():
    demo: Evaluation = load_evaluation(["--config=wsss/demo", "--recipe.iterations", "7"], "x")
    row = load_row("tiny").recipe
    assert demo.recipe.entropy == row["entropy"]
    assert demo.recipe.cross_weights == row["cross_weights"]
    assert demo.recipe.iterations == 7


def test_help_lists_every_setting(capsys):
    with pytest.raises(SystemExit) as done:
        main(["run", "--help"])
    assert done.value.code == 0
    shown = capsys.readouterr().out
    assert all(
        f"--{name}" in shown for name in ("data.kind", "recipe.entropy", "sweep", "save_scores", "entropy_reduction")
    )


def shell(*arguments: str, cwd: Path, **more: str) -> subprocess.CompletedProcess:
    command = ["sh", str(ROOT / "wsss" / "shell_main.sh"), *arguments]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=500,
        env=ENVIRONMENT | {"PYTHON": sys.executable} | more,
    )


def test_shell_entry_makes_masks_with_the_embedded_model_from_any_folder(tmp_path):
    make_voc(tmp_path / "data", [(8,), (3, 12)], {"train": range(2)})
    (tmp_path / "mine.yaml").write_text("model: tiny\ndata: {kind: voc, split: train}\nout: masks\ndevice: cpu\n")
    arguments = ("mine.yaml", "--batch_size", "2", "--entropy_reduction", "false")
    done = shell(*arguments, cwd=tmp_path, ISEG_DATASETS=str(tmp_path / "data"))
    assert done.returncode == 0, done.stderr
    assert "Loading weights" not in done.stderr
    assert "mIoU (classes in the truth)" in done.stdout
    assert len(list((tmp_path / "masks" / "masks").glob("*.png"))) == 2
    saved = yaml.safe_load((tmp_path / "masks" / "config.yaml").read_text())
    assert saved["computed"]["recipe"]["entropy"] == 0
    assert saved["how"]["batch_size"] == 2


def test_shell_entry_spreads_the_embedded_model_over_processes(tmp_path, monkeypatch):
    make_voc(tmp_path / "data", [(8,), (3, 12), (15,), (7,)], {"train": range(4)})
    (tmp_path / "mine.yaml").write_text("model: tiny\ndata: {kind: voc, split: train}\ndevice: cpu\nbatch_size: 2\n")
    monkeypatch.setenv("ISEG_DATASETS", str(tmp_path / "data"))
    assert main(["run", "--config", str(tmp_path / "mine.yaml"), "--out", str(tmp_path / "one")]) == 0
    more = {"ISEG_DATASETS": str(tmp_path / "data"), "MKL_NUM_THREADS": "1"}
    launch = " ".join(["accelerate", *process_environment.TWO_PROCESSES])
    two = shell("mine.yaml", "--out", "two", cwd=tmp_path, LAUNCH=launch, **more)
    assert two.returncode == 0, two.stderr
    assert files(tmp_path / "two") == files(tmp_path / "one")
    assert len(files(tmp_path / "two")) == 6  # four masks, two results


def test_shell_entry_without_data_shows_the_tree(tmp_path):
    done = shell(cwd=tmp_path, ISEG_DATASETS=str(tmp_path))
    assert done.returncode == 2
    assert "VOC2012 train is not complete" in done.stderr
    assert "ImageSets/Segmentation/train.txt" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_shell_entry_without_the_packages_says_so(tmp_path):
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "$@"\n')
    bare.chmod(0o755)
    done = shell("demo", cwd=tmp_path, PYTHON=str(bare))
    assert done.returncode == 2
    assert "lacks what iseg needs" in done.stderr


def test_a_recipe_that_does_not_fit_the_model_is_one_line(tmp_path, capsys):
    make_voc(tmp_path, [(8,)], {"train": range(1)})
    arguments = ["run", "--config", "wsss/voc", "--model", "tiny", "--data.root", str(tmp_path)]
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert "cross_weights names resolution 16: backbone tiny has [12, 24]" in error
    assert error.count("\n") == 1
