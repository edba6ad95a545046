"""The parts of `iseg check`: versions, machine, pictures of known truth, agreement, the report."""

import subprocess
import sys
from email.message import Message
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import torch

from iseg.backbones.table import load_row, row_names
from iseg.cli.check import machine, versions
from iseg.cli.check.agreement import agreement
from iseg.cli.check.cases import FOLDER, Case, cases_for
from iseg.cli.check.machine import GIB
from iseg.cli.check.report import Finding, NotRunError, Report, clean, plain
from iseg.files.images import read_image
from iseg.results import Segmentation


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
        about = Message()
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
        monkeypatch.setenv("HOME", "/homes/ann")
        text = "https://ann:pw@hub.example/a?Signature=abc hf_abcdefghijkl at /homes/ann/x, /homes/ann, /homes/anna/x"
        assert clean(text) == "https://***@hub.example/a?... hf_*** at ~/x, ~, /homes/anna/x"
        assert plain({"place": Path("/homes/ann/x").as_posix()}) == {"place": "~/x"}

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
        assert writer.stdout is not None
        assert writer.stderr is not None
        writer.stdout.close()
        assert writer.stderr.read() == b""
        writer.stderr.close()
        assert writer.wait() == 0
        assert (tmp_path / "n").read_text() == "3"
