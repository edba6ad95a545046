"""`iseg check`: every item on the embedded model, what is broken FAILED in one line, and the rest goes on."""

import json
import shutil
import subprocess
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from iseg import ISeg
from iseg.backbones.table import load_row
from iseg.cli import check, main
from iseg.cli.check.cases import cases_for
from iseg.cli.check.machine import GIB
from iseg.cli.check.report import Finding, NotRunError
from iseg.state import ImageState

TINY = Path(check.__file__).parents[2] / "models" / "tiny"


def checked(*arguments: str) -> tuple[int, list[str], dict]:
    """Exit code, lines and JSON of a check on the CPU."""
    out = StringIO()
    file = Path(arguments[arguments.index("--json") + 1])
    with redirect_stdout(out):
        code = main(["check", "--device", "cpu", *arguments])
    return code, out.getvalue().splitlines(), json.loads(file.read_text(encoding="utf-8"))


def by_name(content: dict) -> dict[str, dict]:
    return {item["name"]: item for item in content["items"]}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A check of the embedded model."""
    return checked("--model", "tiny", "--json", str(tmp_path_factory.mktemp("check") / "new" / "check.json"))


def test_the_embedded_model_passes(whole):
    code, _, content = whole
    items = by_name(content)
    assert (code, [item for item in items.values() if item["verdict"] == "FAILED"]) == (0, [])
    assert {"python", "iseg", "torch", "diffusers", "transformers", "system", "processor", "devices", "memory",
            "disk of weights", "disk of results", "weights tiny", "weights sd21-base", "model", "load", "tokenizer",
            "layers", "attention", "time", "peak memory", "float32 on the CPU"} <= set(items)  # fmt: skip
    assert "knows pictograms, not photographs" in items["model"]["detail"]
    assert items["load"]["values"]["dtype"] == "mixed"
    assert items["load"]["values"]["weights"] == pytest.approx(3.9e6, rel=0.03)  # the model card's figure
    assert items["layers"]["values"]["self 48x48"] == {"layers": 1, "heads": 2}
    assert items["tokenizer"]["values"]["words"] == ["cat", "potted plant", "motorbike"]
    assert 0 < items["attention"]["values"]["off"] < 1e-5
    assert items["float32 on the CPU"]["values"]["labels %"] == 100  # the embedded weights are float16 already
    assert items["peak memory"]["values"]["peak RSS MB"] > 100
    pictures = [name for name in items if name.startswith("picture ")]
    assert pictures == [f"picture {case.name}" for case in cases_for(load_row("tiny"))]
    for name in pictures:
        values = items[name]["values"]
        assert values["IoU"] == pytest.approx(values["expected"], abs=0.5)


def test_text_and_json_agree(whole):
    _, lines, content = whole
    told = [f"{item['verdict']:<9}{item['name']:<22} {item['detail']}" for item in content["items"]]
    assert lines[:-1] == told
    counts = [sum(item["verdict"] == verdict for item in content["items"]) for verdict in ("ok", "warning", "FAILED")]
    assert lines[-1].startswith("{} ok, {} warnings, {} FAILED; as JSON: ".format(*counts))
    assert content["verdict"] == ("warning" if counts[1] else "ok")
    assert content["asked"] == {"model": "tiny", "backbone": None, "device": "cpu", "dtype": "auto"}


def test_nothing_private_is_told(whole):
    _, lines, content = whole
    text = "\n".join([*lines, json.dumps(content)])
    assert str(Path.home()) + "/" not in text
    assert max(map(len, lines)) < 500


@pytest.fixture
def broken(tmp_path):
    """The embedded model with one NaN in its UNet."""
    folder = tmp_path / "broken"
    shutil.copytree(TINY, folder)
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    state = load_file(file)
    state["conv_in.weight"][0, 0, 0, 0] = float("nan")
    save_file(state, file, metadata={"format": "pt"})
    return folder


def test_broken_weights_fail(broken, tmp_path):
    code, lines, content = checked("--model", str(broken), "--backbone", "tiny", "--json", str(tmp_path / "check.json"))
    items = by_name(content)
    assert code == 1
    assert content["verdict"] == "FAILED"
    assert any(
        item["verdict"] == "FAILED" and ("NaN" in item["detail"] or "finite" in item["detail"])
        for item in items.values()
    )
    assert not [name for name, item in items.items() if name.startswith("picture") and item["verdict"] == "ok"]
    assert "float32 on the CPU" in items  # all that follows was tried or said to be not run
    assert "Traceback" not in "\n".join(lines)


def test_a_folder_that_is_no_model_fails_in_one_item(tmp_path):
    (tmp_path / "model").mkdir()
    code, _, content = checked("--model", str(tmp_path / "model"), "--json", str(tmp_path / "check.json"))
    items = by_name(content)
    assert (code, items["load"]["verdict"]) == (1, "FAILED")
    assert {items[name]["verdict"] for name in ("tokenizer", "layers", "time", "float32 on the CPU")} == {"warning"}
    assert items["tokenizer"]["detail"] == "not run: the model was not loaded"


def test_weights_that_are_elsewhere_are_not_downloaded(monkeypatch, tmp_path):
    asked = []

    def snapshot_download(identifier, **options):
        asked.append(options["local_files_only"])
        raise OSError("not in the cache")

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    code, _, content = checked("--model", "sd21-base", "--json", str(tmp_path / "check.json"))
    items = by_name(content)
    assert (code, items["load"]["verdict"], items["weights sd21-base"]["verdict"]) == (1, "FAILED", "warning")
    assert "a check downloads nothing" in items["load"]["detail"]
    assert asked
    assert all(asked)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dtype", "float8"], "dtype 'float8' is not known: expected auto, float32, float16, bfloat16, mixed"),
        (["--device", "cuda:99"], "device 'cuda:99' cannot be used here"),
        (["--model", "nowhere"], "no model 'nowhere': expected "),
        (["--model", "tiny", "--backbone", "none"], "no backbone 'none'"),
        (["--json", "."], "--json .: cannot be written there: expected a file in a folder"),
        (["--colour", "red"], "unrecognized arguments: --colour red"),
    ],
)
def test_bad_usage_is_one_line(arguments, message, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    if arguments[:2] == ["--model", "tiny"]:
        arguments = ["--model", str(TINY), *arguments[2:]]
    assert main(["check", *arguments]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert said.err.startswith("error: ")
    assert message in said.err
    assert list(tmp_path.iterdir()) == []


def test_a_machine_without_torch_is_told_so(tmp_path):
    file = tmp_path / "check.json"
    code = "import sys; sys.modules['torch'] = None; from iseg.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "check", "--json", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    items = by_name(json.loads(file.read_text(encoding="utf-8")))
    failed = {name for name, item in items.items() if item["verdict"] == "FAILED"}
    assert failed == {"processor", "devices", "model"}
    assert items["model"]["detail"].startswith("ModuleNotFoundError: ")
    assert done.stdout.endswith(f"as JSON: {file}\n")


def test_a_full_disk_is_said_after_all_else(monkeypatch, tmp_path, capsys):
    import errno

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("iseg.files.export.os.replace", full)
    for name in ("versions", "machine"):
        monkeypatch.setattr(getattr(check, name), "items", lambda: iter(()))
    monkeypatch.setattr(check, "_weights", lambda: iter(()))
    monkeypatch.setattr(check, "_model", lambda _: iter([("model", lambda: Finding("fine"))]))
    assert main(["check", "--json", str(tmp_path / "check.json")]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[:2]] == [["ok", "model"], ["FAILED", "json"]]
    assert "cannot be written: No space left on device" in lines[1]
    assert list(tmp_path.iterdir()) == []


def test_the_default_is_the_embedded_model_said_plainly(monkeypatch):
    from iseg.cli.check import weights

    monkeypatch.setattr(weights, "at_hand", lambda name: Finding(name, "ok" if name == "tiny" else "warning"))
    name, found = weights.choose(None)
    assert (name, found.verdict) == ("tiny", "warning")
    assert found.detail.endswith("(the embedded model knows pictograms, not photographs)")
    monkeypatch.setattr(weights, "at_hand", Finding)
    assert weights.choose(None)[0] == "sd21-base"
    assert weights.choose("tiny")[1].verdict == "ok"


def test_no_room_for_float32_is_said(monkeypatch, tiny, scene):
    from iseg.cli.check import model

    one = model.Model("tiny", None, "cpu", "auto")
    one.seg, one.found = tiny, {one.cases[0].name: tiny.segment(classes=["cat"], image=ImageState(scene))}
    monkeypatch.setattr(model, "free_memory", lambda: GIB)
    with pytest.raises(NotRunError, match=r"takes about 1\.0 GiB, 1\.0 GiB are free"):
        one.against_float32()
    one.seg, one.precision = ISeg(tiny.backbone, tiny.recipe), "float32"
    assert "nothing to compare" in one.against_float32().detail
