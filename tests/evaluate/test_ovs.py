"""Open-vocabulary evaluation: labels of every source, resumed, refused, then masks; with models that take no time."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from fake_data import SIZES, make_voc
from fake_model import install
from PIL import Image
from process_environment import ENVIRONMENT, TWO_PROCESSES
from transformers import CLIPConfig, CLIPModel

from iseg import ISeg
from iseg.data.classes import load_classes
from iseg.evaluate import outputs
from iseg.tagging import Tagger
from iseg.tagging.text import read_templates
from ovs import sweep
from ovs.run import main
from ovs.settings import load_settings
from scripts.train_clip.model import make_tokenizer

IDS = [(1,), (2, 3), (15,), (20, 4, 7), (12, 8)]
NAMES = [f"2007_{number:06d}" for number in range(len(IDS))]
CLASSES = [entry.name for entry in load_classes("voc20")]


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory):
    """A random CLIP of two blocks with the demo's tokenizer."""
    folder = tmp_path_factory.mktemp("clip")
    tokenizer = make_tokenizer(read_templates())
    ids = {f"{kind}_token_id": getattr(tokenizer, f"{kind}_token_id") for kind in ("bos", "eos", "pad")}
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    torch.manual_seed(0)
    config = CLIPConfig(
        text_config={**shape, **ids, "vocab_size": len(tokenizer), "projection_dim": 8},
        vision_config={**shape, "image_size": 32, "patch_size": 8, "projection_dim": 8},
        projection_dim=8,
    )
    CLIPModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(autouse=True)
def made(monkeypatch):
    monkeypatch.setattr(ISeg, "from_pretrained", ISeg.from_pretrained)  # both are put back afterwards
    monkeypatch.setattr(outputs, "weights_digest", outputs.weights_digest)
    monkeypatch.setattr(outputs, "precision", outputs.precision)
    monkeypatch.setattr(outputs, "row_name", outputs.row_name)
    return install()


@pytest.fixture
def config(tmp_path, clip_folder):
    make_voc(tmp_path / "data", IDS, {"val": range(len(IDS))})
    clip = {"model": str(clip_folder), "votes": 1, "affinity_layers": [0, 1], "background": ["grass", "sky"]}
    content = {
        "model": "fake",
        "device": "cpu",
        "data": {"kind": "voc", "split": "val", "root": str(tmp_path / "data")},
        "tagging": {"clip": clip},
        "recipe": {"iterations": 2, "entropy": 0.05, "background": "power"},
    }
    path = tmp_path / "ovs.yaml"
    path.write_text(yaml.safe_dump(content))
    return lambda out, *more: ["--config", str(path), "--out", str(tmp_path / out), *map(str, more)]


def labels(folder):
    return json.loads((folder / "labels.json").read_text())


def write(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_labels_then_masks(tmp_path, config, capsys):
    assert main(config("out")) == 0
    out = tmp_path / "out"
    saved = labels(out)
    assert list(saved) == NAMES
    for name, chosen in saved.items():
        one = json.loads((out / "labels" / f"{name}.json").read_text())
        assert one["labels"] == chosen
        assert len(one["scores"]) == 20
        with Image.open(out / "masks" / f"{name}.png") as image:
            found = {CLASSES[index - 1] for index in np.unique(np.asarray(image)) if index}
        assert found <= set(chosen)
    quality = json.loads((out / "labels_quality.json").read_text())
    assert quality["images"] == 5
    assert 0 <= quality["map"] <= 1
    printed = capsys.readouterr().out
    assert "| all labels" in printed
    assert "mIoU" in printed


def test_labels_are_what_the_tagger_says(tmp_path, config):
    assert main(config("out", "--limit", "2")) == 0
    tagger = Tagger.from_pretrained(load_settings(config("out"), "test").tagging.clip, device="cpu")
    words = [entry.word.word for entry in load_classes("voc20")]
    for name, chosen in labels(tmp_path / "out").items():
        image = tmp_path / "data" / "VOCdevkit" / "VOC2012" / "JPEGImages" / f"{name}.jpg"
        tags = tagger.tag(image, words)
        assert chosen == {CLASSES[index]: tags.scores[index] for index in tags.chosen}


def files(folder):
    """Every result of a run, by path."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".yaml" and path.parent.name != ".lock"
    }


def test_a_shorter_run_can_be_extended_and_equals_a_whole_one(tmp_path, config, capsys, monkeypatch, made):
    assert main(config("whole")) == 0
    assert main(config("parts", "--limit", "2")) == 0
    capsys.readouterr()
    assert main(config("parts")) == 0
    printed = capsys.readouterr().out
    assert "2 of 5 images were labelled before" in printed
    assert "2 of 5 images were segmented before" in printed
    assert made[2].passes == 3
    assert files(tmp_path / "parts") == files(tmp_path / "whole")

    def no_model(*_args, **_kwargs):
        raise AssertionError("labelled again")

    monkeypatch.setattr(Tagger, "from_pretrained", no_model)
    assert main(config("whole")) == 0
    assert "5 of 5 images were labelled before" in capsys.readouterr().out


def test_an_image_that_failed_is_labelled_by_the_next_run(tmp_path, config, capsys, made):
    assert main(config("whole")) == 0
    image = tmp_path / "data" / "VOCdevkit" / "VOC2012" / "JPEGImages" / f"{NAMES[1]}.jpg"
    content = image.read_bytes()
    image.write_bytes(content[:200])
    assert main(config("out")) == 1
    assert list(json.loads((tmp_path / "out" / "labels_failures.json").read_text())) == [NAMES[1]]
    image.write_bytes(content)
    assert main(config("out")) == 0
    assert made[2].passes == 1
    assert files(tmp_path / "out") == files(tmp_path / "whole")


def test_an_image_too_large_for_clip_is_that_images_failure(tmp_path, config, monkeypatch):
    tag = Tagger.tag

    def short_of_memory(self, image, words):
        if image.shape[:2] == SIZES[1]:
            raise MemoryError
        return tag(self, image, words)

    with monkeypatch.context() as patch:
        patch.setattr(Tagger, "tag", short_of_memory)
        assert main(config("out")) == 1
    failures = json.loads((tmp_path / "out" / "results.json").read_text())["failures"]
    assert failures == {NAMES[1]: "not labelled: not enough memory"}
    assert main(config("out")) == 0


def test_an_error_of_the_code_ends_the_labelling(tmp_path, config, monkeypatch, capsys):
    def broken(*_):
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(Tagger, "tag", broken)
    assert main(config("out")) == 3
    assert capsys.readouterr().err.count("\n") == 1
    assert "illegal memory access" in (tmp_path / "out" / "error.log").read_text()


def test_the_same_clip_by_another_path_is_no_difference(tmp_path, config, clip_folder, capsys):
    assert main(config("out", "--limit", "2")) == 0
    shutil.copytree(clip_folder, tmp_path / "copy")
    assert main(config("out", "--tagging.clip.model", tmp_path / "copy")) == 0
    CLIPModel.from_pretrained(clip_folder).half().save_pretrained(tmp_path / "copy")
    assert main(config("out", "--tagging.clip.model", tmp_path / "copy")) == 2
    assert "clip.model" in capsys.readouterr().err


def test_another_recipe_is_refused_before_anything_is_labelled(tmp_path, config, capsys):
    assert main(config("out", "--limit", "1")) == 0
    assert main(config("out", "--recipe.iterations", "1")) == 2
    assert "recipe.iterations" in capsys.readouterr().err
    assert len(list((tmp_path / "out" / "labels").iterdir())) == 1


def test_a_damaged_label_file_is_one_line(tmp_path, config, capsys):
    assert main(config("out", "--limit", "2")) == 0
    (tmp_path / "out" / "labels" / f"{NAMES[0]}.json").write_text("[1]")
    capsys.readouterr()
    assert main(config("out")) == 2
    assert "remove it to have it labelled again" in capsys.readouterr().err


def test_an_upper_bound_needs_truth(tmp_path, config, capsys):
    images = tmp_path / "data" / "VOCdevkit" / "VOC2012" / "JPEGImages"
    folder = ["--data.kind", "folder", "--data.root", images, "--upper_bound", "true"]
    assert main(config("out", *folder)) == 2
    assert "the images have no truth masks" in capsys.readouterr().err


def test_other_settings_are_refused_with_the_difference(tmp_path, config, capsys):
    assert main(config("out")) == 0
    assert main(config("out", "--tagging.clip.threshold", "0.9")) == 2
    message = capsys.readouterr().err
    assert "clip.threshold: 0.6 in the folder, 0.9 now" in message
    assert labels(tmp_path / "out").keys() == set(NAMES)


def test_a_run_that_made_no_labels_binds_nothing(tmp_path, config):
    assert main(config("out", "--tagging.clip.model", "nowhere/at/all")) == 2
    assert main(config("out", "--limit", "1")) == 0


@pytest.mark.parametrize("form", ["names", "scores", "parts", "csv"])
def test_labels_from_a_file(tmp_path, config, form, made):
    names = {name: [CLASSES[index - 1] for index in ids] for name, ids in zip(NAMES, IDS, strict=True)}
    contents = {
        "names": names,
        "scores": {name: dict.fromkeys(words, 0.5) for name, words in names.items()},
        "parts": {"image_similarity": {f"{name}.jpg": words for name, words in names.items()}, "text_similarity": {}},
        "csv": "name,labels\n" + "".join(f"{name},{';'.join(words)}\n" for name, words in names.items()),
    }
    path = write(tmp_path / ("given.csv" if form == "csv" else "given.json"), contents[form])
    assert main(config("out", "--tagging.source", "file", "--tagging.file", path)) == 0
    assert {name: sorted(words) for name, words in labels(tmp_path / "out").items()} == {
        name: sorted(words) for name, words in names.items()
    }
    assert json.loads((tmp_path / "out" / "labels_quality.json").read_text())["f1"] == 1
    assert made[0].passes == 5


def test_the_truth_as_upper_bound_and_all_classes(tmp_path, config, capsys):
    assert main(config("truth", "--tagging.source", "truth")) == 0
    assert json.loads((tmp_path / "truth" / "labels_quality.json").read_text())["f1"] == 1
    assert main(config("all", "--tagging.source", "all")) == 0
    assert all(list(words) == CLASSES for words in labels(tmp_path / "all").values())
    assert main(config("both", "--upper_bound", "true")) == 0
    comparison = json.loads((tmp_path / "both" / "comparison.json").read_text())
    truth = json.loads((tmp_path / "truth" / "results.json").read_text())
    assert comparison["miou_truth_labels"] == truth["miou"]
    assert "the truth" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({name: ["cat"] for name in NAMES[1:]}, "has no labels for 1 of 5 images: 2007_000000"),
        ({**{name: ["cat"] for name in NAMES}, NAMES[2]: ["unicorn"]}, "unknown class 'unicorn'"),
        ({"image_similarity": {NAMES[0]: ["unicorn"]}}, "unknown class 'unicorn'"),
        ({"image_similarity": {NAMES[0]: [["cat"]]}}, "expected a list of class names"),
        ("[" * 100_000, "not readable"),
        ({"text_similarity": {}}, "has no part 'image_similarity'"),
        ("{", "not readable"),
        ([1], "expected an object"),
    ],
)
def test_labels_files_that_cannot_be_used(tmp_path, config, capsys, content, expected):
    path = write(tmp_path / "given.json", content)
    assert main(config("out", "--tagging.source", "file", "--tagging.file", path)) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert expected in lines[0]
    assert not (tmp_path / "out" / "labels.json").exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--tagging.source", "file"], "give both"),
        (["--tagging.file", "x.json"], "give both"),
        (["--tagging.source", "file", "--tagging.file", "nowhere.json"], "no such file of labels"),
        (["--data.labels", "x.json"], "data.labels is set by the labelling stage"),
        (["--tagging.clip.model", "nowhere/at/all"], "no such folder"),
        (["--tagging.clip.model", "{data}"], "is not a CLIP model: it has no config.json"),
        (["--tagging.clip.names", "[cat]"], "has 1 names for 20 classes"),
        (["--tagging.clip.known_words", "[cat]"], "is not known to this CLIP"),
        (["--tagging.clip.affinity_layers", "[7]"], "this CLIP has blocks 0..1"),
        (["--tagging.clip.votes", "9"], "this CLIP has 2 blocks"),
        (["--tagging.clip.threshold", "2"], "threshold"),
        (["--tagging.clip.variant", "other"], "variant"),
        (["--tagging.clip.templates", "{data}/none.yaml"], "not readable as a list of templates"),
        (["--tagging.colour", "red"], "colour"),
    ],
)
def test_bad_settings_get_one_line(tmp_path, config, capsys, arguments, expected):
    filled = [value.replace("{data}", str(tmp_path / "data")) for value in arguments]
    assert main(config("out", *filled)) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith("error: ")
    assert expected in lines[-1]
    assert not (tmp_path / "out" / "labels.json").exists()


def test_a_broken_image_loses_nothing_else(tmp_path, config, capsys):
    broken = tmp_path / "data" / "VOCdevkit" / "VOC2012" / "JPEGImages" / f"{NAMES[1]}.jpg"
    broken.write_bytes(broken.read_bytes()[:200])
    assert main(config("out")) == 1
    assert NAMES[1] in capsys.readouterr().err
    assert list(labels(tmp_path / "out")) == [name for name in NAMES if name != NAMES[1]]
    assert len(list((tmp_path / "out" / "masks").glob("*.png"))) == 4


def test_two_processes_equal_one(tmp_path, config):
    assert main(config("one", "--upper_bound", "true")) == 0
    tests = Path(__file__).parent.parent
    command = [sys.executable, "-m", "accelerate.commands.accelerate_cli", *TWO_PROCESSES]
    done = subprocess.run(
        [*command, str(tests / "ovs_fake.py"), *config("two", "--upper_bound", "true")],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    found = files(tmp_path / "two")
    assert found == files(tmp_path / "one")
    assert {"labels.json", "labels_quality.json", "comparison.json", "truth_labels/results.json"} <= set(found)


def test_the_prompt_switch_mends_tagclip_too(config):
    published = load_settings(config("out", "--tagging.clip.variant", "published"), "test")
    repaired = load_settings(config("out", "--tagging.clip.variant", "published", "--prompt", "repaired"), "test")
    assert published.tagging.clip.published
    assert not repaired.tagging.clip.published


def test_sweep_prints_a_table_and_draws_a_plot(tmp_path, config, capsys, made):
    assert sweep.main(config("out", "--limit", "3", "--sweep", '{"entropy": [0.0, 0.1], "iterations": [0, 2]}')) == 0
    printed = capsys.readouterr().out
    assert "entropy 0.1, enhancement 1.6" in printed
    with Image.open(tmp_path / "out" / "sweep.png") as image:
        assert image.size == (940, 520)
        assert len(image.convert("P", palette=Image.Palette.ADAPTIVE).getcolors() or []) > 4
    assert len(json.loads((tmp_path / "out" / "variants.json").read_text())) == 8


@pytest.mark.parametrize("name", ["voc", "context", "coco", "demo"])
def test_recipes_load_and_fit_their_classes(name):
    settings = load_settings(["--config", f"ovs/{name}"], "test")
    classes = load_classes(settings.data.classes)
    assert len(settings.tagging.clip.names or classes) == len(classes)
    assert settings.tagging.clip.published == (name != "demo")


def test_published_words_and_prompts(data):
    words = json.loads((data / "g_class_names.json").read_text())
    for name, key in (("voc", "voc2012"), ("context", "voc_context"), ("coco", "coco_object")):
        clip = load_settings(["--config", f"ovs/{name}"], "test").tagging.clip
        assert clip.names is not None
        assert [*clip.names, *clip.background] == words[key]
    voc = load_settings(["--config", "ovs/voc"], "test").recipe
    assert "background{context}" in voc.prompt
    assert (voc.iterations, voc.entropy, voc.background) == (8, 0.015, "power")
    repaired = load_settings(["--config", "ovs/voc", "--prompt", "repaired"], "test").recipe
    assert "background, {context}" in repaired.prompt
