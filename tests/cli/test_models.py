"""`iseg models`: what is at hand; `--get`: progress, checks, interruption, one line for everything that fails."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import yaml
from fake_hub import Repository, small_model

from iseg.backbones import table
from iseg.cli import main
from iseg.settings import configs_folder

UNET = "unet/diffusion_pytorch_model.safetensors"


@pytest.fixture
def own_row(monkeypatch, tmp_path):
    """A table of the embedded model, sd21-base, and "own" whose sources the test gives."""

    def make(*sources, **more):
        tiny = yaml.safe_load((configs_folder() / "backbones" / "tiny.yaml").read_text())
        folder = tmp_path / "configs" / "backbones"
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("tiny", "sd21-base"):
            shutil.copy(configs_folder() / "backbones" / f"{name}.yaml", folder)
        own = {**tiny, "sources": list(sources), "note": "for tests", "words": None, **more}
        (folder / "own.yaml").write_text(yaml.safe_dump(own))
        monkeypatch.setattr(table, "configs_folder", lambda: tmp_path / "configs")

    return make


def told(capsys, *arguments):
    assert main(["models", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_what_is_at_hand_is_shown(hub, own_row, capsys):
    own_row("some/gone", "some/model", licence="CC0")
    hub.repositories["some/model"] = Repository(small_model() | small_model(".fp16"))
    own, _, tiny = told(capsys)
    assert tiny["files"] == "plain"
    assert tiny["bytes"] > 7_000_000
    assert own["weights"] is own["bytes"] is own["digests"] is None
    assert (own["licence"], own["sources"]) == ("CC0", ["some/gone", "some/model"])
    assert main(["models"]) == 0
    said = capsys.readouterr().out
    assert "own: for tests\n  weights: not at hand; get them with iseg models --get own\n" in said
    assert "  sources: some/gone, some/model\n  licence: CC0\n" in said

    got = told(capsys, "--get", "own", "--dtype", "float16")
    own = next(row for row in told(capsys) if row["name"] == "own")
    assert (own["weights"], own["source"], own["bytes"]) == (got["weights"], "some/model", got["bytes"])
    assert (own["files"], own["digests"], own["pinned"]) == ("fp16", "as recorded", False)
    assert main(["models"]) == 0
    said = capsys.readouterr().out
    assert f"  weights: at hand, {got['weights']}\n" in said
    assert "of fp16 files from some/model; digests as recorded\n" in said
    assert "  note: some/model is a copy that the table does not pin" in said


@pytest.mark.parametrize(
    ("dtype", "variant"), [("float32", ""), ("bfloat16", ""), ("float16", ".fp16"), ("mixed", ".fp16")]
)
def test_files_of_the_precision_are_got(hub, own_row, capsys, dtype, variant):
    own_row("some/model")
    hub.repositories["some/model"] = Repository(small_model() | small_model(".fp16"))
    got = told(capsys, "--get", "own", "--dtype", dtype)
    assert got["files"] == sorted(small_model(variant))
    assert set(hub.names()) == set(small_model(variant))
    hub.sent.clear()
    assert told(capsys, "--get", "own", "--dtype", dtype) == got
    assert hub.sent == []  # what is there is only compared


def test_what_was_got_is_told(hub, own_row, capsys, tmp_path):
    own_row("some/model")
    hub.repositories["some/model"] = Repository(small_model())
    assert main(["models", "--get", "own"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("own: 0.0 MB in 10 files from some/model\n  weights: ")
    assert f"  digests: recorded in {tmp_path / 'state' / 'weights' / 'some%2Fmodel.json'}\n" in said
    assert "  note: some/model is a copy that the table does not pin" in said
    hub.repositories["some/model"].state = 500
    assert main(["models", "--get", "own"]) == 0
    assert "  note: the hub was not asked (HTTP 500): the files were at hand already\n" in capsys.readouterr().out
    assert main(["models", "--get", "tiny"]) == 0
    said = capsys.readouterr().out
    assert "from package:models/tiny\n" in said
    assert "part of this installation" in said


def test_a_pinned_source_needs_no_note(hub, own_row, capsys):
    from hashlib import sha256

    files = small_model()
    own_row({"id": "some/model", "sha256": {name: sha256(content).hexdigest() for name, content in files.items()}})
    hub.repositories["some/model"] = Repository(files)
    assert told(capsys, "--get", "own")["pinned"] is True
    assert main(["models"]) == 0
    said = capsys.readouterr().out
    assert "from some/model; digests as pinned\n" in said
    assert "note:" not in said


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--get", "own"], "the weights of own cannot be had: some/gone (not found (HTTP 404)); some/flipped ("),
        (["--get", "nothing"], "no model 'nothing': expected own, sd21-base, tiny,"),
        (["--get", "/"], "/ is on this machine: expected a name of the table or a hub id"),
        (["--get"], "expected one argument"),
        (["--get", "own", "--dtype", "int8"], "invalid choice: 'int8'"),
        (["--dtype", "float16"], "--dtype was given without --get NAME"),
        (["--renew"], "--renew was given without --get NAME"),
        (["own"], "unrecognized arguments: own"),
    ],
)
def test_what_cannot_be_done_is_one_line(hub, own_row, capsys, arguments, expected):
    own_row("some/gone", "some/flipped")
    files = small_model()
    hub.repositories["some/flipped"] = Repository(files, lie={UNET: files[UNET][:-1] + b"?"})
    assert main(["models", *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    assert line.startswith("error: ")
    assert expected in line
    assert len(line) <= 500


def test_a_state_folder_that_cannot_be_written_is_one_line(hub, own_row, capsys, monkeypatch, tmp_path):
    own_row("some/model")
    hub.repositories["some/model"] = Repository(small_model())
    (tmp_path / "file").touch()
    monkeypatch.setenv("ISEG_HOME", str(tmp_path / "file"))
    assert main(["models", "--get", "own"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {tmp_path / 'file'}/weights/")
    assert "cannot be written" in line


def test_an_interruption_is_one_word_and_the_next_run_goes_on(hub, tmp_path):
    """In a process of its own, so through HF_ENDPOINT and HF_HOME as people set them."""
    files = small_model()
    repository = Repository(files | {UNET: files[UNET]}, block=200, pause=0.02)
    hub.repositories["some/model"] = repository
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "no_proxy": "127.0.0.1"}
    command = [sys.executable, "-m", "iseg", "models", "--get", "some/model"]
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # as in a terminal
    )  # fmt: skip
    deadline = time.monotonic() + 300
    while UNET not in hub.names() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=300)
    assert (process.returncode, out, error.splitlines()[-1]) == (130, "", "interrupted")
    assert "Traceback" not in error
    assert not [path for path in (tmp_path / "home").rglob("*") if "incomplete" in path.name]
    repository.pause = 0
    hub.sent.clear()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert hub.names() == [UNET]  # the others had come whole
    assert done.stdout.startswith("sd21-base: 0.0 MB in 10 files from some/model\n")
