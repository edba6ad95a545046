"""`iseg check`: every item on the embedded model, what is broken FAILED in one line, and the rest goes on."""

import json
import shutil
import subprocess
import sys
from contextlib import redirect_stdout
from importlib import metadata
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from iseg import ISeg
from iseg.backbones.table import load_row, row_names
from iseg.cli import check, main
from iseg.cli.check import machine, versions
from iseg.cli.check.agreement import agreement
from iseg.cli.check.cases import FOLDER, Case, cases_for
from iseg.cli.check.machine import GIB
from iseg.cli.check.report import Finding, NotRunError, Report, clean, plain
from iseg.results import Segmentation

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
    assert items["layers"]["values"]["self 32x32"] == {"layers": 1, "heads": 2}
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


class TestVersions:
    """Against the metadata of the distribution."""

    @pytest.fixture
    def installed(self, monkeypatch):
        """What is installed, and what iseg asks for."""
        have = {"numpy": "1.20", "torch": "2.9+cu", "accelerate": "1.3"}
        asks = ["numpy>=1.26", "torch>=2.4", "gone<3,>=1", 'accelerate>=1.2; extra == "data"',
                'scipy>=1.13; extra == "data"', 'accelerate; extra == "more"', 'pytest; extra == "dev"',
                'old; python_version < "3"']  # fmt: skip

        def version(name):
            if name not in have:
                raise metadata.PackageNotFoundError(name)
            return have[name]

        monkeypatch.setattr(metadata, "version", version)
        monkeypatch.setattr(metadata, "requires", lambda _: asks)
        about = metadata.metadata("pytest")
        del about["Provides-Extra"]
        for extra in ("data", "dev", "more"):
            about["Provides-Extra"] = extra
        monkeypatch.setattr(metadata, "metadata", lambda _: about)
        return have

    def test_ranges_and_extras(self, installed):
        found = {name: test() for name, test in versions.items() if name not in ("python", "iseg")}
        assert {name: each.verdict for name, each in found.items()} == {
            "gone": "FAILED", "numpy": "warning", "torch": "ok", "extra data": "warning", "extra more": "ok",
        }  # fmt: skip
        assert found["gone"].detail == "missing: pip install 'gone<3,>=1'"
        assert found["numpy"].detail == "1.20: outside the supported range >=1.26"
        assert found["torch"].detail == "2.9+cu (>=2.4)"
        assert found["extra data"].detail == "scipy missing: pip install 'iseg[data]'"
        assert found["extra more"].detail == "accelerate 1.3"

    def test_what_is_not_installed_is_a_warning(self, installed):
        assert versions.own().verdict == "warning"
        installed["iseg"] = "0.0.1"
        assert "but 0.0.1 is installed" in versions.own().detail

    def test_python_is_compared_too(self):
        assert versions.python().values["supported"] == ">=3.10"


class TestMachine:
    def test_gpus_are_named(self, monkeypatch):
        ones = torch.ones
        monkeypatch.setattr(torch, "ones", lambda *size, device: ones(*size))
        for name, value in {
            "is_available": lambda: True,
            "device_count": lambda: 2,
            "mem_get_info": lambda device: ((60 + device.index) * GIB, 80 * GIB),
            "get_device_capability": lambda device: (9, 0),
            "get_device_name": lambda device: f"NVIDIA Fake {device.index}",
        }.items():
            monkeypatch.setattr(torch.cuda, name, value)
        found = machine.devices()
        text = (
            "cuda:0: NVIDIA Fake 0, 60.0 GiB of 80.0 GiB free, compute capability 9.0; cuda:1: NVIDIA Fake 1, 61.0 GiB"
        )
        assert found.detail.startswith(text)
        assert found.verdict == "ok"
        assert found.values["devices"][1]["free"] == 61 * GIB
        assert machine.device_name(torch.device("cuda", 1)) == "NVIDIA Fake 1"

    def test_a_driver_without_cuda_is_a_warning(self, monkeypatch):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
        monkeypatch.setattr(machine.shutil, "which", lambda name: f"/bin/{name}")
        found = machine.devices()
        assert (found.verdict, "finds no CUDA device" in found.detail) == ("warning", True)

    def test_the_processor_has_a_name(self):
        assert machine.device_name(torch.device("cpu")) == machine.processor_name()
        values = machine.processor().values
        assert values["name"] == machine.processor_name()
        assert values["cores"] >= 1

    @pytest.mark.parametrize(("free", "verdict"), [(5 * GIB, "ok"), (GIB, "warning"), (None, "warning")])
    def test_little_memory_is_a_warning(self, monkeypatch, free, verdict):
        monkeypatch.setattr(machine, "free_memory", lambda: free)
        assert machine.memory().verdict == verdict

    @pytest.mark.parametrize(("least", "verdict"), [(0, "ok"), (2**60, "warning")])
    def test_disk_of_a_folder_that_is_not_there_yet(self, tmp_path, least, verdict):
        found = machine.disk(tmp_path / "a" / "b", least)
        assert found.verdict == verdict
        assert found.values["free"] > 0


class TestPictures:
    def test_every_row_has_some_whose_words_it_knows(self):
        for name in row_names():
            row = load_row(name)
            cases = cases_for(row)
            assert cases
            for case in cases:
                row.check_words(case.words)

    def test_each_is_whole(self):
        cases = {case.name: case for row in row_names() for case in cases_for(load_row(row))}
        files = {path.stem for path in FOLDER.iterdir() if path.suffix in (".jpg", ".png")}
        assert set(cases) == files
        for case in cases.values():
            from iseg.files.images import read_image

            truth = case.truth()
            assert truth.shape == read_image(case.image).shape[:2]
            assert set(np.unique(truth)) - {0, 255} == set(range(1, len(case.words) + 1))
            assert all(len(expected) == len(case.words) for expected in case.expected.values())

    def test_iou_beside_what_is_expected(self, monkeypatch):
        truth = np.zeros((10, 20), np.uint8)
        truth[:, :10], truth[0] = 1, 255
        monkeypatch.setattr(Case, "truth", lambda _: truth)
        case = Case("made", ["cat"], expected={"tiny": [80.0]})
        mask = np.where(np.arange(20) < 8, 1, 0)[None].repeat(10, 0).astype(np.uint8)
        assert case.judged(mask, "tiny").values["IoU"] == pytest.approx([80])
        assert case.judged(mask, "tiny").verdict == "ok"
        mask[:, 7] = 0
        assert case.judged(mask, "tiny").verdict == "FAILED"
        found = case.judged(mask, "sd21-base")
        assert (found.verdict, "expected: not yet measured" in found.detail) == ("ok", True)
        assert case.judged(np.ones_like(mask), "sd21-base").verdict == "warning"


@pytest.mark.parametrize(
    ("scale", "wrong", "verdict"),
    [
        (1.0, 0, "ok"),
        (1.04, 1, "ok"),
        (1.06, 0, "warning"),
        (1.0, 3, "warning"),
        (1.0, 6, "FAILED"),
        (np.nan, 0, "FAILED"),
    ],
)
def test_agreement_has_limits(scale, wrong, verdict):
    maps = np.random.default_rng(0).random((2, 5, 5)).astype(np.float32)
    mask = np.ones((10, 20), np.uint8)
    other = mask.copy()
    other.flat[: 2 * wrong] = 0  # of 200 pixels
    found = agreement(
        Segmentation(other, ["a", "b"], maps, maps * np.float32(scale)), Segmentation(mask, ["a", "b"], maps, maps)
    )
    assert found.verdict == verdict
    assert found.values["labels %"] == pytest.approx(100 - wrong)


class TestReport:
    def test_whatever_is_raised_is_one_line(self, capsys):
        def fails():
            raise RuntimeError("first\nsecond \x1b[31m" + "x" * 999)

        def not_run():
            raise NotRunError("no model")

        report = Report()
        report.add("a", fails)
        report.add("b", not_run)
        report.add("c", lambda: Finding("fine", values={"x": float("nan"), "y": (1.23456789, "t\nt")}))
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == 3
        assert lines[0].startswith("FAILED   a                      RuntimeError: first second ?[31mxxx")
        assert len(lines[0]) < 500
        assert lines[1] == "warning  b                      not run: no model"
        assert report.items[2]["values"] == {"x": None, "y": [1.23457, "t t"]}
        assert report.verdict == "FAILED"

    def test_items_that_cannot_be_named_are_an_item(self, capsys):
        def items():
            yield "first", lambda: Finding("fine")
            raise ImportError("no torch")

        report = Report()
        report.section("model", items)
        assert [(item["name"], item["verdict"]) for item in report.items] == [("first", "ok"), ("model", "FAILED")]

    def test_secrets_and_homes_are_hidden(self, monkeypatch):
        monkeypatch.setenv("HOME", "/home/ann")
        text = "https://ann:pw@hub.example/a?Signature=abc hf_abcdefghijkl at /home/ann/x, /home/ann, /home/anna/x"
        assert clean(text) == "https://***@hub.example/a?... hf_*** at ~/x, ~, /home/anna/x"
        assert plain({"place": Path("/home/ann/x").as_posix()}) == {"place": "~/x"}

    def test_a_reader_that_goes_away_does_not_stop_it(self, tmp_path):
        code = (
            "import sys; from iseg.cli.check.report import Finding, Report\n"
            "report = Report()\n"
            "for k in range(3): report.add(str(k), lambda: Finding('fine'))\n"
            "open(sys.argv[1], 'w').write(str(len(report.items)))"
        )
        writer = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "n")], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        writer.stdout.close()
        assert writer.stderr.read() == b""
        writer.stderr.close()
        assert writer.wait() == 0
        assert (tmp_path / "n").read_text() == "3"


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


def test_no_room_for_float32_is_said(monkeypatch, tiny):
    from iseg.cli.check import model

    one = model.Model("tiny", None, "cpu", "auto")
    one.seg, one.found = tiny, {one.cases[0].name: None}
    monkeypatch.setattr(model, "free_memory", lambda: GIB)
    with pytest.raises(NotRunError, match=r"takes about 1\.0 GiB, 1\.0 GiB are free"):
        one.against_float32()
    one.seg, one.precision = ISeg(tiny.backbone, tiny.recipe), "float32"
    assert "nothing to compare" in one.against_float32().detail
