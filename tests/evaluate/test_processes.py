"""Runs that are told to end, and runs that meet in one folder: real processes with a model that takes its time."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from fake_data import fake_run, make_voc
from process_environment import ENVIRONMENT, ROOT, TWO_PROCESSES

IDS = [(1,), (2, 3), (15,), (20, 4, 7), (5,), (12, 8), (9,), (6,)]
WSSS, OVS, HYPER = "fake_model.py", "ovs_fake.py", "hyper_fake.py"
PATIENCE = 300  # seconds


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """A configuration over eight images; returns the command that runs one of the entries with it into a folder."""
    folder = tmp_path_factory.mktemp("set")
    content = fake_run(folder, IDS)
    (folder / "wsss.yaml").write_text(yaml.safe_dump(content))
    (folder / "ovs.yaml").write_text(yaml.safe_dump({**content, "tagging": {"source": "truth"}}))

    def command(entry: str, out: Path, *more: object) -> list[str]:
        job = ["run", "--config", f"{folder}/wsss.yaml"] if entry == WSSS else ["--config", f"{folder}/ovs.yaml"]
        return [sys.executable, str(ROOT / "tests" / entry), *job, "--out", str(out), *map(str, more)]

    return command


def start(
    command: list[str], delay: float = 0, folder: Path | None = None, group: bool = False, go: Path | None = None
) -> subprocess.Popen:
    """A process in which signals act as in a terminal, however these tests were started; or a group of its own.

    delay: seconds for each image; go: a file that its model waits for.
    """
    return subprocess.Popen(
        command,
        cwd=folder,
        env=ENVIRONMENT | {"FAKE_DELAY": str(delay), "FAKE_GO": str(go or "")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=group,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def masks(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("masks/*.png"))}


def wait(run: subprocess.Popen, until: Callable[[], bool]) -> None:
    """Until something has happened while a process is on."""
    deadline = time.monotonic() + PATIENCE
    while not until() and run.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert run.poll() is None, run.communicate()


def finish(run: subprocess.Popen) -> tuple[int, str, str]:
    out, err = run.communicate(timeout=PATIENCE)
    return run.returncode, out, err


@pytest.mark.parametrize(("entry", "number"), [(WSSS, signal.SIGINT), (OVS, signal.SIGTERM), (HYPER, signal.SIGINT)])
def test_a_signal_ends_a_run_after_the_image_at_hand(tmp_path, config, entry, number):
    out, more = tmp_path / "out", []
    if entry == HYPER:
        more = ["--sweep", '{"entropy": [0.0], "iterations": [0, 2], "enhancement": [1.6]}']
    with start(config(entry, out, *more), delay=0.5) as run:
        wait(run, lambda: len(masks(out)) >= 2)
        run.send_signal(number)
        code, _, err = finish(run)
    assert code == 128 + number, err
    assert err.splitlines() == [
        f"{'interrupted' if number == signal.SIGINT else 'terminated'}: the images at hand are finished first and all "
        "that is done is kept (once more: at once)"
    ]
    kept = masks(out)
    assert 2 <= len(kept) < 8 * (1 + (entry == HYPER))
    assert not list(out.rglob("*.tmp"))
    code, printed, err = finish(start(config(entry, out, *more)))
    assert code == 0, err
    assert "images were segmented before" in printed
    assert len(masks(out)) == 8 * (1 + (entry == HYPER))
    assert {name: masks(out)[name] for name in kept} == kept


def test_a_second_signal_does_not_wait(tmp_path, config):
    out = tmp_path / "out"
    with start(config(WSSS, out), delay=60) as run:
        wait(run, (out / "config.yaml").is_file)
        time.sleep(1)  # the pass has begun
        run.send_signal(signal.SIGINT)
        time.sleep(1)
        run.send_signal(signal.SIGINT)
        began = time.monotonic()
        code, _, err = finish(run)
    assert code == 130
    assert time.monotonic() - began < 30
    assert err.splitlines()[-1] == "interrupted"
    assert len(err.splitlines()) <= 2


def test_a_signal_ends_scoring_in_one_word(tmp_path):
    slow = tmp_path / "slow.py"
    slow.write_text(
        "import sys, time\nfrom iseg.evaluate import main, score\n"
        "def count(*_):\n    print('counting\\n', end='', flush=True)\n    time.sleep(1)\n"
        "score.count = count\nsys.exit(main(sys.argv[1:]))\n"
    )
    make_voc(tmp_path, [(1,)] * 40, {"train": range(40)})
    truth = str(tmp_path / "VOCdevkit" / "VOC2012" / "SegmentationClassAug")
    with start([sys.executable, str(slow), "score", "--masks", truth, "--truth", truth]) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "counting\n"
        run.send_signal(signal.SIGINT)
        code, _, err = finish(run)
    assert (code, err) == (130, "interrupted\n")


def test_a_run_of_other_settings_is_refused_while_one_is_on(tmp_path, config):
    out, go = tmp_path / "out", tmp_path / "go"
    with start(config(WSSS, out), go=go) as first:
        wait(first, (out / "config.yaml").is_file)
        code, _, err = finish(start(config(WSSS, out, "--recipe.iterations", 7)))
        assert code == 2
        assert err.count("\n") == 1
        assert f"{out} is in use by process {first.pid} on " in err
        assert "recipe.iterations: 3 in the folder, 7 now" in err
        go.touch()
        first_code, _, err = finish(first)
    assert first_code == 0, err
    assert yaml.safe_load((out / "config.yaml").read_text())["computed"]["recipe"]["iterations"] == 3


def test_of_two_runs_started_together_one_is_refused(tmp_path, config):
    """They come to the folder within a blink of each other, before either has made a mask."""
    out, go = tmp_path / "out", tmp_path / "go"
    runs = [start(config(WSSS, out, "--recipe.iterations", count), go=go) for count in (3, 7)]
    deadline = time.monotonic() + PATIENCE
    while all(run.poll() is None for run in runs) and time.monotonic() < deadline:
        time.sleep(0.01)
    go.touch()
    done = [finish(run) for run in runs]
    assert sorted(code for code, *_ in done) == [0, 2], done
    whole = tmp_path / "whole"
    iterations = yaml.safe_load((out / "config.yaml").read_text())["computed"]["recipe"]["iterations"]
    assert iterations == (3 if done[0][0] == 0 else 7)
    assert finish(start(config(WSSS, whole, "--recipe.iterations", iterations)))[0] == 0
    assert masks(out) == masks(whole)


def test_runs_of_the_same_settings_share_a_folder(tmp_path, config):
    out = tmp_path / "out"
    runs = [start(config(WSSS, out), delay=0.2) for _ in range(2)]
    done = [finish(run) for run in runs]
    assert [code for code, *_ in done] == [0, 0], done
    assert len(masks(out)) == 8
    assert json.loads((out / "results.json").read_text())["images"] == 8


def test_a_killed_run_blocks_nobody(tmp_path, config):
    out = tmp_path / "out"
    with start(config(WSSS, out), delay=30) as run:
        wait(run, (out / "config.yaml").is_file)
        run.kill()
        run.communicate()
    code, _, err = finish(start(config(WSSS, out, "--recipe.iterations", 7)))
    assert code == 0, err


def test_two_labellings_do_not_mix(tmp_path, config):
    out, go = tmp_path / "out", tmp_path / "go"
    with start(config(OVS, out), go=go) as first:
        wait(first, (out / "labels.json").is_file)
        code, _, err = finish(start(config(OVS, out, "--tagging.source", "all")))
        assert code == 2
        assert err.count("error: ") == 1
        assert "source: 'truth' in the folder, 'all' now" in err
        go.touch()
        assert finish(first)[0] == 0


@pytest.mark.parametrize("entry", ["wsss/main.py", "ovs/main.py", "ovs/hyper.py"])
def test_an_interrupt_while_libraries_load_leaves_no_trace(tmp_path, entry):
    """The library that loads here is one that waits to be interrupted."""
    (tmp_path / "yaml.py").write_text("import time\nprint('loading', flush=True)\ntime.sleep(300)\n")
    command = [sys.executable, "-c", f"import runpy; "
               f"runpy.run_path({str(ROOT / entry)!r}, run_name='__main__')"]  # fmt: skip
    with start(command, folder=tmp_path) as run:  # whose modules come first
        assert run.stdout is not None
        assert run.stdout.readline() == "loading\n"
        run.send_signal(signal.SIGINT)
        code, _, err = finish(run)
    assert (code, err) == (-signal.SIGINT, "")  # a shell calls it 130


@pytest.mark.parametrize("entry", [WSSS, OVS])
def test_ctrl_c_of_launched_processes_is_one_line(tmp_path, config, entry):
    """As a terminal does it: the signal goes to the launcher and to what it started."""
    out = tmp_path / "out"
    launch = [sys.executable, str(ROOT / "scripts" / "launch.py"), *TWO_PROCESSES]
    command = [*launch, *config(entry, out)[1:]]
    with start([*command, "--batch_size", "1"], delay=0.5, group=True) as run:
        wait(run, lambda: len(masks(out)) >= 1)
        os.killpg(run.pid, signal.SIGINT)
        code, _, err = finish(run)
    assert "Traceback" not in err, err
    assert [line.split(":")[0] for line in err.splitlines()] == ["interrupted"], err
    assert code == 130
    assert masks(out)


def test_a_launcher_ends_with_the_exit_code_of_what_it_started(tmp_path):
    (tmp_path / "fails.py").write_text("import sys\nsys.exit(2)\n")
    command = [sys.executable, str(ROOT / "scripts" / "launch.py"), "launch", "--cpu", "--num_processes", "1"]
    code, _, err = finish(start([*command, str(tmp_path / "fails.py")]))
    assert code == 2
    assert "Traceback" not in err
