"""Folders of images: resumed, summed up, joined in one COCO JSON; one image or a signal loses nothing."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file, save_file

from iseg.cli import main, worker

BASE = ["--model", "tiny"]


@pytest.fixture
def calls(tiny, monkeypatch):
    """The embedded model for every run; the list has an entry for each call of it."""
    made: list[dict] = []

    class Counting:
        backbone = tiny.backbone

        def set_image(self, image):
            return tiny.set_image(image)

        def segment(self, **given):
            made.append(given)
            return tiny.segment(**given)

    monkeypatch.setattr(worker, "load_model", lambda job: Counting())
    return made


@pytest.fixture
def folder(tmp_path, scene):
    path = tmp_path / "in"
    (path / "sub").mkdir(parents=True)
    for name in ("a.png", "b.png", "sub/a.png"):
        Image.fromarray(scene).save(path / name)
    return path


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_a_folder_is_resumed_and_refused_with_other_settings(calls, folder, tmp_path, capsys):
    out = tmp_path / "out"
    command = ["segment", str(folder), "--classes", "cat", "--save", "mask,coco", "--out", str(out), *BASE]
    assert main(command) == 0
    assert len(calls) == 3
    (out / "b.png").unlink()
    assert main(command) == 0
    assert len(calls) == 4
    assert "2 of 3 images were segmented before" in capsys.readouterr().out
    assert main([*command, "--iterations", "3"]) == 2
    said = capsys.readouterr().err
    assert "settings.iterations: " in said
    assert "in the folder, 3 now" in said
    assert main([*command, "--iterations", "3", "--resume", "false"]) == 0
    assert len(calls) == 7
    summary = read(out / "summary.json")
    assert (summary["images"], len(summary["done"]), summary["kept"], summary["failed"]) == (3, 3, [], {})


def test_one_coco_json_for_a_folder(calls, folder, tmp_path):
    out = tmp_path / "out"
    assert main(["segment", str(folder), "--boxes", "1,1,60,60 50,10,130,80", "--names", "cat;dog", "--save", "coco",
                 "--background", "0.3", "--out", str(out), *BASE]) == 0  # fmt: skip
    joined = read(out / "coco.json")
    assert [image["file_name"] for image in joined["images"]] == ["a.png", "b.png", "sub/a.png"]
    assert [image["id"] for image in joined["images"]] == [1, 2, 3]
    assert [each["id"] for each in joined["annotations"]] == list(range(1, len(joined["annotations"]) + 1))
    assert joined["categories"] == [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    assert {each["image_id"] for each in joined["annotations"]} == {1, 2, 3}


def test_prompts_of_single_images(calls, folder, tmp_path):
    inside = np.zeros((90, 140), np.uint8)
    inside[20:60, 40:80] = 255
    Image.fromarray(inside).save(folder / "rough.bmp")
    rows = [{"image": "a.png", "classes": "cat; dog"}, {"image": "b.png", "points": [[60, 40]], "negative": [[5, 5]]},
            {"image": "sub/a.png", "mask": "rough.bmp"}]  # fmt: skip
    (folder / "prompts.json").write_text(json.dumps(rows))
    out = tmp_path / "out"
    assert main(["segment", "--prompts", str(folder / "prompts.json"), "--out", str(out), *BASE]) == 0
    assert calls[0]["classes"] == ["cat", "dog"]
    assert (calls[1]["points"], calls[1]["negative"]) == ([(60, 40)], [(5, 5)])
    assert np.array_equal(calls[2]["mask"], inside > 0)
    text = 'image,classes,points\na.png,cat; dog,\nb.png,,"60,40 61,41"\n'
    (folder / "prompts.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert main(["segment", str(folder), "--prompts", str(folder / "prompts.csv"), "--out", str(tmp_path / "csv"),
                 *BASE]) == 1  # fmt: skip
    failed = read(tmp_path / "csv" / "summary.json")["failed"]
    assert len(failed) == 2  # rough.bmp and the image of the sub-folder
    assert all("has no prompt in" in reason for reason in failed.values())


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("[]", "holds no prompt"),
        ('[{"image": "a.png"}]', "entry 1: image 'a.png': nothing to look for was given"),
        ('[{"image": "a.png", "classes": "cat", "box": "1,1,2,2"}]', "classes and box was given"),
        ('[{"image": "a.png", "colour": "red"}]', "unknown key 'colour'"),
        ('[{"image": 3, "classes": "cat"}]', "image is 3"),
        ('[{"image": "a.png", "points": 7}]', "points: 7: expected pixels"),
        ('{"a.png": ["cat"]}', "expected a list"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_bad_files_of_prompts_are_one_line(tmp_path, capsys, rows, message):
    (tmp_path / "p.json").write_text(rows)
    assert main(["segment", "--prompts", str(tmp_path / "p.json"), "--out", str(tmp_path / "out"), *BASE]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_strange_names_and_broken_content_stop_nothing(calls, folder, tmp_path, capsys):
    raw = os.fsencode(folder) + b"/\xff\xfe.png"
    os.link(folder / "a.png", raw)
    os.link(folder / "a.png", folder / ("n" * 245 + ".png"))
    heads = [b"qoif\x00\x00\x00\x09\x00\x00\x00\x09\x03\x00", b"\x00\x00\x00\x1cftypavif\x00\x00\x00\x00avifmif1"]
    heads.append(b"BLP2\x01\x00\x00\x00\x01\x08\x08\x00" + b"\x10\x00\x00\x00" * 2)
    for n, head in enumerate(heads):
        (folder / f"broken{n}.jpg").write_bytes(head + b"\x07" * 40)
    (folder / "gone.png").symlink_to("nowhere.png")
    out = tmp_path / "out"
    code = main(["segment", str(folder), "--classes", "cat", "--save", "mask", "--out", str(out), *BASE])
    said = capsys.readouterr()
    assert code == 1
    assert "Traceback" not in said.err
    assert "5 of 9 images done, 4 failed" in said.out
    assert r"\xff\xfe.png" in said.out
    assert len(read(out / "summary.json")["done"]) == 5
    assert not list(out.rglob("*.tmp"))


def test_an_error_of_the_code_is_that_images(calls, folder, tmp_path, monkeypatch, capsys):
    good = worker.Worker._result

    def result(self, model, name, *rest):
        if name.endswith("b.png"):
            raise ZeroDivisionError("no such luck")
        return good(self, model, name, *rest)

    monkeypatch.setattr(worker.Worker, "_result", result)
    out = tmp_path / "out"
    assert main(["segment", str(folder), "--classes", "cat", "--out", str(out), *BASE]) == 1
    assert "ZeroDivisionError: no such luck; the trace is in" in capsys.readouterr().err
    assert "ZeroDivisionError" in (out / "error.log").read_text()
    assert len(read(out / "summary.json")["done"]) == 2


@pytest.mark.parametrize(("number", "code", "done"), [(signal.SIGTERM, 143, 1), (signal.SIGINT, 130, 0)])
def test_signals_leave_whole_results(calls, folder, tmp_path, monkeypatch, capsys, number, code, done):
    good = worker.Worker._result

    def result(self, *rest):
        os.kill(os.getpid(), number)
        return good(self, *rest)

    monkeypatch.setattr(worker.Worker, "_result", result)
    out = tmp_path / "out"
    assert main(["segment", str(folder), "--classes", "cat", "--out", str(out), *BASE]) == code
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    assert len(list(out.rglob("*.overlay.png"))) == done
    assert not list(out.rglob("*.tmp"))
    if done:
        assert "terminated: the image at hand was finished" in said.err
        assert read(out / "summary.json")["not_tried"] == ["b", "sub/a"]


@pytest.mark.parametrize("target", ["pipe", "/dev/full"])
def test_a_reader_who_is_gone_stops_nothing(folder, tmp_path, target):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "iseg", "segment", str(folder), "--classes", "cat", "--out", str(out), *BASE]
    if target == "pipe":
        reading, writing = os.pipe()
        os.close(reading)
    else:
        writing = os.open(target, os.O_WRONLY)
    ended = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr
    assert "Exception ignored" not in ended.stderr
    assert len(read(out / "summary.json")["done"]) == 3


def test_the_sidecar_names_vae_clip_and_precision(calls, folder, tmp_path):
    out = tmp_path / "out"
    assert (
        main(["segment", str(folder / "a.png"), "--classes", "cat", "--dtype", "mixed", "--out", str(out), *BASE]) == 0
    )
    model = read(out / "a.json")["model"]
    assert (model["dtype"], model["vae"], model["clip"]) == ("mixed", None, None)


def test_the_choice_of_the_embedded_model_is_told_where_one_looks(calls, folder, tmp_path, monkeypatch, capsys):
    from iseg.cli import settings

    monkeypatch.setattr(settings, "choose_model", lambda given: ("tiny", "no weights: using tiny"))
    out = tmp_path / "out"
    assert main(["segment", str(folder), "--classes", "cat", "--out", str(out)]) == 0
    assert capsys.readouterr().out.rstrip().endswith("note: no weights: using tiny")
    assert read(out / "a.json")["model"]["notice"] == read(out / "summary.json")["notice"] == "no weights: using tiny"


def test_runs_of_other_settings_in_one_folder_are_refused_while_one_is_on(calls, folder, tmp_path, monkeypatch, capsys):
    """The second run is started while the first works on its first image."""
    good, codes = worker.Worker._result, []
    command = ["segment", str(folder), "--classes", "cat", "--save", "mask", "--out", str(tmp_path / "out"), *BASE]

    def result(self, *rest):
        monkeypatch.setattr(worker.Worker, "_result", good)
        codes.append(main([*command, "--iterations", "3", "--resume", "false"]))
        codes.append(main(command))
        return good(self, *rest)

    monkeypatch.setattr(worker.Worker, "_result", result)
    assert main(command) == 0
    assert codes == [2, 0]
    said = capsys.readouterr().err
    assert f"{tmp_path / 'out'} is in use by process {os.getpid()} on " in said
    assert "settings.iterations: " in said
    assert said.count("\n") == 1
    assert len(calls) == 3 + 3  # the second of the same settings came before any was done
    assert main([*command, "--iterations", "3", "--resume", "false"]) == 0  # nothing holds the folder now


def test_a_model_is_known_by_its_weights_when_a_run_goes_on(calls, folder, tmp_path, capsys):
    tiny = Path(worker.__file__).parent.parent / "models" / "tiny"
    for name in ("one", "two"):
        shutil.copytree(tiny, tmp_path / name)

    def command(name):
        return ["segment", str(folder), "--classes", "cat", "--save", "mask", "--out", str(tmp_path / "out"),
                "--model", str(tmp_path / name), "--backbone", "tiny"]  # fmt: skip

    assert main(command("one")) == 0
    assert main(command("two")) == 0
    assert len(calls) == 3
    (file,) = (tmp_path / "two" / "unet").glob("*.safetensors")
    state = load_file(file)
    save_file({name: tensor * 2 for name, tensor in state.items()}, file)
    capsys.readouterr()
    assert main(command("two")) == 2
    assert "model.weights.unet: " in capsys.readouterr().err
