"""The jobs: train, evaluate, export."""

from collections.abc import Sequence

from iseg.evaluate.main import run_job
from iseg.student.settings import load_training


def main(arguments: Sequence[str], prog: str = "python -m iseg.student") -> int:
    """Run a job and return the exit code; see `iseg.evaluate.main.exit_code`."""
    usage = (f"usage: {prog} train --config FILE [--key value ...]\n"
             f"       {prog} evaluate --student FOLDER [--kind voc] [--split val] [--scales 0.75,1,1.25] [--flip]\n"
             f"       {prog} export --student FOLDER --out FILE.onnx [--size 512x512]\n"
             "--help after a job lists every setting")  # fmt: skip
    jobs = {"train": train_command, "evaluate": evaluate_job, "export": export_job}
    return run_job(jobs, arguments, prog, usage)


def train_command(arguments: list[str], prog: str) -> int:
    """`train`: see `Training` for the settings."""
    training = load_training(arguments, prog)
    from accelerate import PartialState

    from iseg.student.train import train

    code = train(training)
    PartialState().destroy_process_group()
    return code


def evaluate_job(arguments: list[str], prog: str) -> int:
    """`evaluate`: see `iseg.student.evaluate`, which is read when it is asked for."""
    from iseg.student.evaluate import evaluate_command

    return evaluate_command(arguments, prog)


def export_job(arguments: list[str], prog: str) -> int:
    """`export`: see `iseg.student.export`."""
    from iseg.student.export import export_command

    return export_command(arguments, prog)
