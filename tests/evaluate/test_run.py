"""The runner and the scores, with a model that takes no time."""

import errno
import hashlib
import json
import os
import shutil
import threading
from pathlib import Path

import fake_model
import numpy as np
import pytest
import torch
import yaml
from fake_data import make_voc
from fake_model import install, undo_install
from PIL import Image
from sklearn.metrics import confusion_matrix

from iseg import ISeg
from iseg.data.read import read_pair
from iseg.errors import InputError
from iseg.evaluate import main, outputs
from iseg.files.export import write_mask

ROOT = Path(__file__).parent.parent.parent
IDS = [(1,), (2, 3), (), (15,), (20, 4, 7), (5,), (12, 8)]
NAMES = [f"2007_{number:06d}" for number in range(len(IDS))]
OBJECTS = [name for name, ids in zip(NAMES, IDS, strict=True) if ids]


@pytest.fixture
def fake(monkeypatch):
    """`install`, undone afterwards."""
    undo_install(monkeypatch)
    return install


@pytest.fixture
def made(fake):
    return fake()


@pytest.fixture
def voc(tmp_path):
    return make_voc(tmp_path / "data", IDS, {"train": range(len(IDS))})


@pytest.fixture
def config(tmp_path, voc):
    """A configuration over the seven images; returns the arguments that run it into OUT."""
    content = {
        "model": "fake",
        "device": "cpu",
        "data": {"kind": "voc", "split": "train", "root": str(tmp_path / "data")},
        "recipe": {"iterations": 3, "entropy": 0.05, "background": "power", "cluster": True, "cluster_stride": 5},
    }
    path = tmp_path / "fake.yaml"
    path.write_text(yaml.safe_dump(content))
    return lambda out, *more: ["run", "--config", str(path), "--out", str(tmp_path / out), *map(str, more)]


def files(folder: Path) -> dict[str, bytes]:
    """Everything a run left except how it was run."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "config.yaml" and path.parent.name != ".lock"
    }


def read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def test_masks_and_scores_agree_with_an_independent_count(tmp_path, config, voc, made, capsys):
    assert main(config("out")) == 0
    printed = capsys.readouterr().out
    assert "1 of 7 images hold background only: skipped" in printed
    assert sorted(path.stem for path in (tmp_path / "out" / "masks").iterdir()) == OBJECTS
    total = np.zeros((21, 21), np.int64)
    for name, ids in zip(NAMES, IDS, strict=True):
        if not ids:
            continue
        mask, truth = (
            read(tmp_path / "out" / "masks" / f"{name}.png"),
            read(voc / "SegmentationClassAug" / f"{name}.png"),
        )
        assert mask.shape == truth.shape
        assert set(np.unique(mask)) <= {0, *ids}
        counted = truth != 255
        total += confusion_matrix(truth[counted], mask[counted], labels=range(21))
    iou = np.diag(total) / np.maximum(total.sum(0) + total.sum(1) - np.diag(total), 1)
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["miou"] == pytest.approx(iou[total.sum(1) > 0].mean(), abs=1e-12)
    assert results["pixel_accuracy"] == pytest.approx(np.diag(total).sum() / total.sum(), abs=1e-12)
    assert (results["images"], results["skipped"], results["failures"]) == (6, 1, {})
    assert results["classes"][1]["iou"] == pytest.approx(iou[1], abs=1e-12)
    assert results["classes"][6]["iou"] is None
    rows = (tmp_path / "out" / "results.csv").read_text().splitlines()
    assert rows[0] == "id,name,iou,truth_pixels,mask_pixels"
    assert rows[2].startswith("1,aeroplane,")
    assert "| aeroplane" in printed
    assert f"| {100 * results['miou']:.2f}" in printed.replace("  ", " ").replace("  ", " ")


def test_scoring_saved_masks_alone_gives_the_same(tmp_path, config, voc, made):
    main(config("out"))
    before = (tmp_path / "out" / "results.json").read_bytes()
    arguments = ["score", "--masks", str(tmp_path / "out" / "masks"), "--truth", str(voc / "SegmentationClassAug")]
    names = str(voc / "ImageSets" / "Segmentation" / "train.txt")
    assert main([*arguments, "--names", names, "--out", str(tmp_path / "again")]) == 0
    assert (tmp_path / "again" / "results.json").read_bytes() == before
    (tmp_path / "out" / "masks" / f"{NAMES[0]}.png").unlink()
    assert main([*arguments, "--out", str(tmp_path / "fewer")]) == 0
    assert json.loads((tmp_path / "fewer" / "results.json").read_text())["images"] == 5
    assert main([*arguments, "--names", names, "--out", str(tmp_path / "missing")]) == 1
    failures = json.loads((tmp_path / "missing" / "results.json").read_text())["failures"]
    assert list(failures) == [NAMES[0]]
    assert "no such image file" in failures[NAMES[0]]


def test_a_second_start_keeps_what_is_there(tmp_path, config, made, capsys):
    main(config("out", "--save_scores", "true"))
    before = files(tmp_path / "out")
    (tmp_path / "out" / "masks" / f"{NAMES[1]}.png").unlink()
    (tmp_path / "out" / "scores" / f"{NAMES[4]}.npz").unlink()
    (tmp_path / "out" / "masks" / ".0123.tmp").write_bytes(b"left by a killed run")
    assert main(config("out", "--save_scores", "true", "--batch_size", "1")) == 0
    assert "4 of 7 images were segmented before with the same configuration" in capsys.readouterr().out
    assert made[1].passes == 2
    assert files(tmp_path / "out") == before
    main(config("out", "--save_scores", "true", "--limit", "2"))
    assert len(made) == 2  # nothing is missing: no model is loaded


def test_the_split_of_a_long_prompt_lies_beside_the_masks(tmp_path, config, made, monkeypatch):
    main(config("single"))
    assert not (tmp_path / "single" / "passes").exists()
    monkeypatch.setenv("FAKE_WORDS", "2")
    out = tmp_path / "out"
    variants = ["--variants", json.dumps({"a": {}, "b": {"iterations": 1}})]
    assert main(config("out", *variants)) == 0
    for folder in (out / "a", out / "b"):
        assert [path.name for path in (folder / "passes").iterdir()] == [f"{NAMES[4]}.json"]
        split = json.loads((folder / "passes" / f"{NAMES[4]}.json").read_text())
        assert split == {"passes": [["boat", "car"], ["tv monitor"]]}


def test_a_second_start_mends_the_record_of_the_split(tmp_path, config, made, monkeypatch, capsys):
    monkeypatch.setenv("FAKE_WORDS", "2")
    masks, passes = tmp_path / "out" / "masks", tmp_path / "out" / "passes"
    with monkeypatch.context() as patch:
        full_disk(patch, lambda target: "/passes/" in target)
        assert main(config("out")) == 1
    assert not (masks / f"{NAMES[4]}.png").exists()  # without its record an image is not done
    assert main(config("out")) == 0
    before = files(tmp_path / "out")
    assert f"passes/{NAMES[4]}.json" in before
    (masks / f"{NAMES[1]}.png").unlink()
    (passes / f"{NAMES[1]}.json").write_text("of an earlier run with more classes")
    assert main(config("out")) == 0
    assert files(tmp_path / "out") == before
    (masks / f"{NAMES[1]}.png").unlink()
    (passes / f"{NAMES[1]}.json").mkdir()
    capsys.readouterr()
    assert main(config("out")) == 1
    assert f"{NAMES[1]}.json: cannot be removed" in capsys.readouterr().err


def test_another_configuration_is_refused_with_the_difference(tmp_path, config, made, capsys):
    main(config("out"))
    before = files(tmp_path / "out")
    assert main(config("out", "--recipe.iterations", "4", "--recipe.entropy", "0.1")) == 2
    error = capsys.readouterr().err
    assert "recipe.iterations: 3 in the folder, 4 now" in error
    assert "recipe.entropy: 0.05 in the folder, 0.1 now" in error
    assert "recipe.cluster" not in error
    assert files(tmp_path / "out") == before
    (tmp_path / "out" / "config.yaml").unlink()
    assert main(config("out")) == 2
    assert "holds masks but no config.yaml" in capsys.readouterr().err


def test_a_start_that_made_no_mask_binds_nobody(tmp_path, config, made):
    assert main(config("out", "--model", "nothing")) == 2
    assert main(config("out")) == 0


def test_changed_weights_are_a_difference(tmp_path, config, made, monkeypatch, capsys):
    assert main(config("out")) == 0
    monkeypatch.setattr(outputs, "weights_digest", lambda *_: {"unet": "retrained"})
    assert main(config("out")) == 2
    assert "weights_sha256.unet: 'fake' in the folder, 'retrained' now" in capsys.readouterr().err


def test_weights_digest_is_of_every_part():
    found = outputs.weights_digest("tiny", None, "mixed")
    for part, name in (
        ("unet", "diffusion_pytorch_model"),
        ("vae", "diffusion_pytorch_model"),
        ("text_encoder", "model"),
    ):
        path = ROOT / "iseg" / "models" / "tiny" / part / f"{name}.safetensors"
        assert found.pop(part) == hashlib.sha256(path.read_bytes()).hexdigest()
    assert found == {}


def test_changed_classes_and_another_origin_of_labels_are_a_difference(tmp_path, config, made, capsys):
    labels = tmp_path / "labels.json"
    labels.write_text(json.dumps({name: ["cat"] for name in NAMES}))
    assert main(config("out", "--data.labels", labels)) == 0
    assert main(config("out")) == 2
    assert "labels: 'file' in the folder, 'truth' now" in capsys.readouterr().err
    words = tmp_path / "words.yaml"
    words.write_text(yaml.safe_dump({"classes": [f"word {number}" for number in range(20)]}))
    assert main(config("plain")) == 0
    assert main(config("plain", "--data.classes", words)) == 2
    assert "class_words" in capsys.readouterr().err


@pytest.mark.parametrize("batch_size", [1, 3])
def test_an_image_whose_labels_changed_is_segmented_again_and_the_rest_kept(tmp_path, config, made, capsys, batch_size):
    labels, size = tmp_path / "labels.json", ["--batch_size", str(batch_size)]
    words = {name: ["cat", "dog"] for name in NAMES}
    labels.write_text(json.dumps(words))
    assert main(config("out", "--data.labels", labels, *size)) == 0
    before = {path.stem: path.stat().st_mtime_ns for path in (tmp_path / "out" / "masks").iterdir()}
    labels.write_text(json.dumps({**words, NAMES[3]: ["car"], NAMES[0]: ["dog", "cat"]}))  # the order says nothing
    capsys.readouterr()
    assert main(config("out", "--data.labels", labels, *size)) == 0
    printed = capsys.readouterr().out
    assert "6 of 7 images were segmented before" in printed
    assert "1 of 7 images have other labels than before: they are segmented again" in printed
    after = {path.stem: path.stat().st_mtime_ns for path in (tmp_path / "out" / "masks").iterdir()}
    assert {name for name in NAMES if after[name] != before[name]} == {NAMES[3]}
    assert set(np.unique(read(tmp_path / "out" / "masks" / f"{NAMES[3]}.png"))) == {0, 7}
    assert main(config("fresh", "--data.labels", labels, *size)) == 0
    assert files(tmp_path / "out") == files(tmp_path / "fresh")
    passes = len(made)
    assert main(config("out", "--data.labels", labels, *size)) == 0
    assert len(made) == passes  # nothing is missing: no model is loaded


def test_a_labels_file_that_lacks_images_can_be_mended(tmp_path, config, made):
    labels = tmp_path / "labels.json"
    labels.write_text(json.dumps({name: ["cat"] for name in NAMES[:4]}))
    assert main(config("out", "--data.labels", labels, "--limit", "2")) == 0
    assert main(config("out", "--data.labels", labels)) == 1
    labels.write_text(json.dumps({name: ["cat"] for name in NAMES}))
    assert main(config("out", "--data.labels", labels)) == 0
    assert [model.passes for model in made] == [2, 2, 3]


def test_a_mask_that_was_written_without_its_record_is_made_again(tmp_path, config, made):
    labels = tmp_path / "labels.json"
    labels.write_text(json.dumps({name: ["cat"] for name in NAMES}))
    main(config("whole", "--data.labels", labels))
    main(config("out", "--data.labels", labels))
    (tmp_path / "out" / "asked" / f"{NAMES[2]}.json").unlink()  # as if killed between the two
    assert main(config("out", "--data.labels", labels)) == 0
    assert made[2].passes == 1
    assert files(tmp_path / "out") == files(tmp_path / "whole")


def test_scores_can_be_asked_for_later(tmp_path, config, made, capsys):
    main(config("whole", "--save_scores", "true"))
    main(config("out", "--limit", "2"))
    masks = tmp_path / "out" / "masks"
    before = {path.name: path.stat().st_mtime_ns for path in masks.iterdir()}
    assert main(config("out", "--save_scores", "true")) == 0
    assert set(files(tmp_path / "out")) == set(files(tmp_path / "whole"))
    (tmp_path / "out" / "scores" / f"{NAMES[1]}.npz").unlink()
    assert main(config("out", "--save_scores", "true")) == 0
    assert made[-1].passes == 1
    assert main(config("out")) == 0  # nor does turning them off again undo anything
    assert files(tmp_path / "out") == files(tmp_path / "whole")
    assert before.keys() <= {path.name for path in masks.iterdir()}


def test_the_same_weights_by_another_path_are_no_difference(tmp_path, config, made, monkeypatch):
    assert main(config("out")) == 0
    monkeypatch.setattr(outputs, "weights_digest", lambda *_: {"unet": "fake"})
    assert main(config("out", "--model", str(tmp_path / "a" / "copy"))) == 0


def test_the_same_small_vae_by_another_path_is_no_difference(tmp_path, config, made, capsys):
    for name, content in (("one", b"weights"), ("copy", b"weights"), ("other", b"other")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(content)
    assert main(config("out", "--vae", tmp_path / "one")) == 0
    assert main(config("out", "--vae", tmp_path / "copy")) == 0
    assert main(config("out", "--vae", tmp_path / "other")) == 2
    assert ": vae: " in capsys.readouterr().err


def test_another_device_is_no_difference_but_another_precision_is(tmp_path, config, made, monkeypatch, capsys):
    assert main(config("out", "--limit", "2")) == 0  # the precision goes with the device
    here = yaml.safe_load((tmp_path / "out" / "config.yaml").read_text())["how"]["precision"]
    monkeypatch.setattr(
        outputs, "precision", lambda _model, _row, dtype, _device: "float16" if dtype == "auto" else dtype
    )
    assert main(config("out", "--limit", "4")) == 0
    assert f"its masks were made in {here}, the others will be in float16" in capsys.readouterr().out
    assert main(config("out", "--dtype", "float16")) == 0
    assert main(config("out", "--dtype", "float32")) == 2
    assert "dtype: 'float16' in the folder, 'float32' now" in capsys.readouterr().err


def test_a_data_set_may_be_moved_but_a_folder_of_other_images_is_refused(tmp_path, config, voc, made, capsys):
    assert main(config("out")) == 0
    (tmp_path / "data").rename(tmp_path / "moved")
    assert main(config("out", "--data.root", tmp_path / "moved")) == 0
    labels = tmp_path / "labels.json"
    labels.write_text(json.dumps({name: ["cat"] for name in NAMES}))
    folder = ["--data.kind", "folder", "--data.labels", labels, "--data.root"]
    images = tmp_path / "moved" / "VOCdevkit" / "VOC2012" / "JPEGImages"
    assert main(config("plain", *folder, images)) == 0
    shutil.copytree(images, tmp_path / "elsewhere")
    capsys.readouterr()
    assert main(config("plain", *folder, tmp_path / "elsewhere")) == 0
    assert f"{len(NAMES)} of {len(NAMES)} images were segmented before" in capsys.readouterr().out
    for path in (tmp_path / "elsewhere").iterdir():
        path.rename(path.with_name(f"other-{path.name}"))
    assert main(config("plain", *folder, tmp_path / "elsewhere")) == 2
    assert "holds masks of another data set, e.g. of " in capsys.readouterr().err


def spoil(voc: Path) -> dict[str, str]:
    """Four unusable images; what the runner must say about each."""
    jpeg = voc / "JPEGImages" / f"{NAMES[0]}.jpg"
    jpeg.write_bytes(jpeg.read_bytes()[: jpeg.stat().st_size // 2])
    write_mask(voc / "SegmentationClassAug" / f"{NAMES[1]}.png", np.ones((5, 7), np.uint8))
    label = read(voc / "SegmentationClassAug" / f"{NAMES[3]}.png").copy()
    label[0, 0] = 77
    write_mask(voc / "SegmentationClassAug" / f"{NAMES[3]}.png", label)
    (voc / "JPEGImages" / f"{NAMES[5]}.jpg").unlink()
    return {
        NAMES[0]: "the image is corrupt",
        NAMES[1]: "has 7x5 pixels, its image",
        NAMES[3]: "holds label 77: expected 0..20 or 255",
        NAMES[5]: "no such image",
    }


@pytest.mark.parametrize("batch_size", [1, 3])
def test_bad_images_are_named_and_the_rest_goes_on(tmp_path, config, voc, made, capsys, batch_size):
    expected = spoil(voc)
    assert main(config("out", "--batch_size", batch_size)) == 1
    error = capsys.readouterr().err
    assert "4 of 7 images failed:" in error
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert set(results["failures"]) == set(expected)
    for name, reason in expected.items():
        assert reason in results["failures"][name]
        assert f"{name}: " in error
    assert sorted(path.stem for path in (tmp_path / "out" / "masks").iterdir()) == [NAMES[4], NAMES[6]]
    assert results["images"] == 2


class NotFinite(InputError):
    """As the core raises for maps that hold NaN."""


TROUBLE = [
    InputError("no token"),
    NotFinite("a recorded map is not finite"),
    RuntimeError("CUDA out of memory\non device"),
    RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried to allocate"),
    torch.OutOfMemoryError("CUDA out of memory"),
    MemoryError(),
]


@pytest.mark.parametrize("trouble", TROUBLE, ids=lambda trouble: type(trouble).__name__)
def test_one_image_the_model_refuses_does_not_take_its_batch_along(tmp_path, config, voc, fake, trouble):
    fake({"sheep": trouble})
    write_mask(voc / "SegmentationClassAug" / f"{NAMES[1]}.png", np.full((60, 40), 17, np.uint8))
    assert main(config("out", "--batch_size", "4")) == 1
    failures = json.loads((tmp_path / "out" / "results.json").read_text())["failures"]
    assert list(failures) == [NAMES[1]]
    assert failures[NAMES[1]] == (" ".join(str(trouble).split()) or "not enough memory")
    assert len(list((tmp_path / "out" / "masks").iterdir())) == 5
    fake()
    assert main(config("out", "--batch_size", "4")) == 0  # it was not counted as finished
    assert len(list((tmp_path / "out" / "masks").iterdir())) == 6


CODE = [
    TypeError("unsupported operand"),
    AssertionError(),
    RuntimeError("CUDA error: device-side assert triggered\nCompile with TORCH_USE_CUDA_DSA"),
    KeyError("self_attention"),
]


@pytest.mark.parametrize("trouble", CODE, ids=lambda trouble: type(trouble).__name__)
def test_an_error_of_the_code_ends_the_run_with_its_trace_in_a_file(tmp_path, config, voc, fake, trouble, capsys):
    fake({"sheep": trouble})
    write_mask(voc / "SegmentationClassAug" / f"{NAMES[3]}.png", np.full((33, 71), 17, np.uint8))
    assert main(config("out")) == 3
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"the run ended with {type(trouble).__name__}: " in error
    log = tmp_path / "out" / "error.log"
    assert str(log) in error
    assert "Traceback" in log.read_text()
    assert "attend_latents" in log.read_text()
    assert {path.stem for path in (tmp_path / "out" / "masks").iterdir()} == set(OBJECTS[:2])  # what was done is kept
    fake()
    assert main(config("out")) == 0


def test_an_error_of_the_code_in_the_background_ends_the_run_too(tmp_path, config, made, monkeypatch, capsys):
    def broken(*_args, **_kwargs):
        raise TypeError("a slip")

    monkeypatch.setattr(outputs, "write_mask", broken)
    assert main(config("out")) == 3
    assert "TypeError: a slip" in capsys.readouterr().err


@pytest.mark.parametrize("error", [RuntimeError("bad AVIF"), IndexError("bad QOI"), OSError("BLP"), MemoryError()])
def test_whatever_a_decoder_raises_is_the_images_trouble(tmp_path, config, made, monkeypatch, error):
    def decode(item, count):
        if item.name == NAMES[1]:
            raise error
        return read_pair(item, count)

    monkeypatch.setattr("iseg.evaluate.loading.read_pair", decode)
    assert main(config("out")) == 1
    assert list(json.loads((tmp_path / "out" / "results.json").read_text())["failures"]) == [NAMES[1]]


class Small(fake_model.FakeModel):
    """A device whose memory takes so many images at once; `tried` has the size of every batch."""

    def __init__(self, recipe, takes):
        super().__init__(recipe)
        self.takes, self.tried = takes, []

    def attend_latents(self, latents, words, sizes, recipe):
        self.tried.append(len(words))
        if len(words) > self.takes:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return super().attend_latents(latents, words, sizes, recipe)


def test_out_of_memory_halves_the_batch_and_goes_on(tmp_path, config, made, monkeypatch, capsys):
    assert main(config("whole", "--batch_size", "6")) == 0
    models: list[Small] = []

    def small(_model, recipe, *_args):
        models.append(Small(recipe, takes=1 if len(models) else 2))
        return models[-1]

    monkeypatch.setattr(ISeg, "from_pretrained", small)
    assert main(config("out", "--batch_size", "6")) == 0
    assert models[0].tried == [5, 2, 2, 1, 1]  # one image of six holds background only, the last is a batch of its own
    assert "not enough memory for 5 images at once: 2 are tried" in capsys.readouterr().err
    assert files(tmp_path / "out") == files(tmp_path / "whole")
    assert main(config("one", "--batch_size", "6")) == 0
    assert models[1].tried == [5, 2, 1, 1, 1, 1, 1, 1]
    assert files(tmp_path / "one") == files(tmp_path / "whole")


def full_disk(monkeypatch, refuses):
    """os.replace that fails as a full disk does for the targets that `refuses` picks."""
    replace = os.replace

    def failing(source, target):
        if refuses(str(target)):
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", failing)


def test_a_full_disk_loses_nothing_else(tmp_path, config, made, monkeypatch, capsys):
    main(config("whole"))
    with monkeypatch.context() as patch:
        full_disk(patch, lambda target: target.endswith(f"{NAMES[1]}.png"))
        assert main(config("out")) == 1
    error = capsys.readouterr().err
    assert f"{NAMES[1]}: " in error
    assert "cannot be written: No space left on device" in error
    left = {path.name for path in (tmp_path / "out" / "masks").iterdir()}
    assert left == {f"{name}.png" for name in OBJECTS if name != NAMES[1]}
    assert main(config("out")) == 0
    assert files(tmp_path / "out") == files(tmp_path / "whole")


def test_a_disk_that_takes_nothing_ends_the_run(tmp_path, made, config, monkeypatch, capsys):
    root = tmp_path / "many"
    make_voc(root, [(1,)] * 24, {"train": range(24)})
    full_disk(monkeypatch, lambda target: "/masks/" in target)
    assert main(config("out", "--data.root", root, "--readers", "1")) == 1
    assert "stopped: 10 masks in a row could not be written" in capsys.readouterr().err
    assert made[0].passes < 15


@pytest.mark.parametrize("out", ["blocked/out", "blocked"])
def test_an_output_that_cannot_be_written_is_one_line(tmp_path, config, made, capsys, out):
    (tmp_path / "blocked").write_text("a file where the folder should be")
    assert main(config(out)) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {tmp_path / 'blocked'}")
    assert "cannot be written" in error
    assert error.count("\n") == 1
    assert made == []


def test_a_sweep_shares_passes_and_equals_single_runs(tmp_path, config, made, capsys):
    sweep = ["--sweep.iterations", "[0, 3]", "--sweep.entropy", "[0.0, 0.05]", "--sweep.background", "[power, 0.5]"]
    assert main(config("sweep", *sweep, "--sweep.enhancement", "[1.6, 1.0]")) == 0
    assert made[0].passes == 2 * len(OBJECTS)
    assert made[0].encoded == len(OBJECTS)  # both passes start from the same latents
    rows = json.loads((tmp_path / "sweep" / "variants.json").read_text())
    assert len(rows) == 16
    assert "| iterations=0 entropy=0.0 background=power enhancement=1.6 " in capsys.readouterr().out
    assert (tmp_path / "sweep" / "variants.csv").read_text().count("\n") == 17
    single = ["--recipe.iterations", "3", "--recipe.entropy", "0.0", "--recipe.background", "0.5"]
    assert main(config("single", *single, "--recipe.enhancement", "1.0")) == 0
    folder = tmp_path / "sweep" / "iterations=3-entropy=0.0-background=0.5-enhancement=1.0"
    assert files(folder) == files(tmp_path / "single")


def test_images_are_resized_by_the_readers_unless_the_cpu_is_the_models(tmp_path, config, made, monkeypatch):
    assert main(config("out", "--readers", "2")) == 0
    assert made[0].resizing == {threading.main_thread()}
    monkeypatch.setattr(fake_model, "DEVICE", torch.device("meta"))
    assert main(config("gpu", "--readers", "2")) == 0
    assert 1 <= len(made[1].resizing) <= 2
    assert threading.main_thread() not in made[1].resizing
    assert files(tmp_path / "out") == files(tmp_path / "gpu")


def test_each_way_of_resizing_is_encoded(tmp_path, config, made):
    variants = {"a": {"resize": "torch"}, "b": {"resize": "opencv"}, "c": {"resize": "opencv", "enhancement": 1.0}}
    assert main(config("out", "--variants", json.dumps(variants))) == 0
    assert (made[0].encoded, made[0].passes) == (2 * len(OBJECTS), 3 * len(OBJECTS))
    assert main(config("alone", "--recipe.resize", "opencv")) == 0
    assert files(tmp_path / "out" / "b") == files(tmp_path / "alone")


def test_variants_are_an_ablation_table(tmp_path, config, made, capsys):
    variants = {"raw": {"iterations": 0, "cluster": False}, "+ one product": {"iterations": 1}, "full": {}}
    assert main(config("out", "--variants", json.dumps(variants))) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert [line.split("|")[1].strip() for line in lines] == ["variant", "-" * 13, "raw", "+ one product", "full"]
    assert made[0].passes == len(OBJECTS)
    assert (tmp_path / "out" / "one-product" / "masks" / f"{NAMES[0]}.png").is_file()
    assert main(config("out", "--variants", json.dumps({"+ a": {}, "a": {}}))) == 2
    assert "would share a folder" in capsys.readouterr().err
    assert main(config("out", "--variants", json.dumps({"a": {"iteration": 1}}))) == 2
    assert "variant 'a'" in capsys.readouterr().err
    assert main(config("out", "--variants", '{"a": {}}', "--sweep.iterations", "[1]")) == 2


def test_labels_from_a_file_stand_in_for_the_truth(tmp_path, config, made, capsys):
    labels = tmp_path / "labels.csv"
    rows = [f"{name},{'cat;dog' if name != NAMES[3] else ''}" for name in NAMES if name != NAMES[6]]
    labels.write_text("\n".join(["name,labels", *rows]) + "\n")
    assert main(config("out", "--data.labels", labels)) == 1
    assert f"{NAMES[6]} is not in the file of image-level labels" in capsys.readouterr().err
    assert set(np.unique(read(tmp_path / "out" / "masks" / f"{NAMES[2]}.png"))) <= {0, 8, 12}
    assert not read(tmp_path / "out" / "masks" / f"{NAMES[3]}.png").any()
    assert json.loads((tmp_path / "out" / "results.json").read_text())["images"] == 6


def test_score_maps_are_kept_as_float16(tmp_path, config, made):
    main(config("out", "--save_scores", "true", "--recipe.background", "0.4"))
    with np.load(tmp_path / "out" / "scores" / f"{NAMES[4]}.npz") as saved:
        scores, names = saved["scores"], list(saved["names"])
    mask = read(tmp_path / "out" / "masks" / f"{NAMES[4]}.png")
    assert scores.dtype == np.float16
    assert scores.shape == (3, *mask.shape)
    assert names == ["boat", "car", "tvmonitor"]
    ids = np.array([0, 4, 7, 20])
    again = ids[np.where(scores.max(0) >= 0.4, scores.argmax(0) + 1, 0)]
    assert (again == mask).mean() > 0.99  # float16 rounding decides ties


def test_a_folder_without_truth_is_segmented_but_not_scored(tmp_path, config, voc, made, capsys):
    labels = tmp_path / "labels.json"
    labels.write_text(json.dumps({name: ["cat"] for name in NAMES}))
    more = ["--data.kind", "folder", "--data.root", voc / "JPEGImages", "--data.labels", labels]
    assert main(config("out", *more)) == 0
    assert "no truth: not scored" in capsys.readouterr().out
    assert len(list((tmp_path / "out" / "masks").iterdir())) == len(IDS)
    assert not (tmp_path / "out" / "results.json").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("recipe: {cluster: maybe}", 'Parser key "recipe.cluster": Expected a bool. Got value: maybe'),
        ("recipe: {iteration: 3}", "Group 'recipe' does not accept option 'iteration'"),
        ("save_score: true", "'save_score'"),
        ("save_scores: maybe", 'Parser key "save_scores": Expected a bool. Got value: maybe'),
        ("data: {kind: cityscapes}", 'Parser key "data.kind"'),
        ("data: {kind: voc, splits: val}", "'splits'"),
        ("recipe: {iterations: -1}", "iterations is -1"),
        ("recipe: {background: 2}", "background is 2"),
        ("recipe: [1]", '"recipe"'),
        ("batch_size: 0", "batch_size is 0: expected at least 1"),
        ("recipe: {cluster: true", "not readable as YAML"),
        ("- 1", "expected a mapping of settings"),
    ],
)
def test_bad_settings_name_the_file_and_the_key(tmp_path, capsys, made, text, message):
    path = tmp_path / "mine.yaml"
    base = "" if "data:" in text or text == "- 1" else "data: {kind: voc}\n"
    path.write_text(base + ("" if "recipe" in text or text == "- 1" else "recipe: {}\n") + text)
    assert main(["run", "--config", str(path)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert str(path) in error
    assert error.startswith("error: ")
    assert error.count("\n") == 1


def test_bad_command_lines(config, capsys, made, tmp_path):
    assert main([]) == 2
    assert "usage:" in capsys.readouterr().err
    assert main(["run"]) == 2
    assert "expected --config FILE" in capsys.readouterr().err
    assert main(config("out", "--recipe.cluster", "maybe")) == 2
    assert 'command line: Parser key "recipe.cluster"' in capsys.readouterr().err
    assert main(config("out", "--nonsense", "1")) == 2
    assert "--nonsense" in capsys.readouterr().err
    assert main(config("out", "--model", "nothing")) == 2
    assert "no model 'nothing'" in capsys.readouterr().err


def test_bad_masks_to_score(tmp_path, capsys):
    truth, masks = tmp_path / "truth", tmp_path / "masks"
    for name in "abc":
        write_mask(truth / f"{name}.png", np.full((6, 9), 3, np.uint8))
        write_mask(masks / f"{name}.png", np.full((6, 9), 3, np.uint8))
    write_mask(masks / "b.png", np.full((9, 6), 3, np.uint8))
    write_mask(masks / "c.png", np.full((6, 9), 255, np.uint8))
    assert main(["score", "--masks", str(masks), "--truth", str(truth)]) == 1
    error = capsys.readouterr().err
    assert "b.png: is 6x9, its truth 9x6" in error
    assert "c.png: prediction holds label 255" in error
    results = json.loads((tmp_path / "results.json").read_text())
    assert (results["images"], results["miou"]) == (1, 1.0)
    assert main(["score", "--masks", str(tmp_path / "x"), "--truth", str(truth)]) == 2
    (tmp_path / "empty").mkdir()
    assert main(["score", "--masks", str(tmp_path / "empty"), "--truth", str(truth)]) == 2
    assert "holds no PNG mask" in capsys.readouterr().err
