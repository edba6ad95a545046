"""Measure speed and memory: a table for people, JSON for programs.

    python -m scripts.benchmark                                   # the embedded model, beside the plain path
    python -m scripts.benchmark --model sd21-shape                # Stable Diffusion 2.1's shape, random weights
    python -m scripts.benchmark --model sd21-shape --device cuda --dtypes float16,bfloat16 --batches 1,4,16 --compile
    python -m scripts.benchmark --growth docs                     # time and memory against images, classes, grid
    python -m scripts.benchmark --agreement 100                   # precisions against float32: masks, mIoU
    python -m scripts.benchmark --agreement 100 --device cuda --dtypes float16,bfloat16,float32    # those of a GPU
    python -m scripts.benchmark --agreement 1 --model sd21-base --vae taesd    # real weights, on photographs
    python -m scripts.benchmark --profile 64                      # a run over 64 images: what takes the time, GPU busy
    python -m scripts.benchmark --everything 9                    # regions without words at 64x64 places, 9 repeats
    python -m scripts.benchmark --check                           # exit 1 if a ratio is worse than its limit

Every case runs in a process of its own, one after the other. Compare ratios within a run, not seconds between runs.
"""

import argparse
import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from iseg.backbones.load import pick_device, pick_dtype
from iseg.backbones.table import load_row
from iseg.cli.check.machine import device_name
from iseg.errors import InputError
from scripts.bench.case import Case
from scripts.bench.report import add_to_json, case_table, stage_table

RANDOM_MODEL = Path("runs/benchmark/sd21-shape")
CHECKED = 9  # repeats of what `--check` measures
LIMITS = {  # of the embedded model, with room for noise
    "end to end / plain path": 0.5,
    "clustering / plain loop": 0.3,
    "entropy reduction / plain steps": 0.7,
    "refinement / plain products": 0.7,
    "unaccounted / new entropy weight": 0.6,
}


def run_case(case: Case) -> dict[str, Any]:
    """Measure in a new process. Raises InputError with its last line if it fails."""
    command = [sys.executable, "-W", "ignore", "-m", "scripts.bench.case", json.dumps(asdict(case))]
    print(f"measuring {describe(case)} ...", file=sys.stderr, flush=True)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise InputError(f"{describe(case)} failed: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def describe(case: Case) -> str:
    """A short name of a case."""
    extra = (" compiled" if case.compile else "") + (f" vae {case.vae}" if case.vae else "")
    return f"{case.path} {case.dtype} batch {case.batch}{extra}"


def weights_of(model: str) -> str:
    """What `from_pretrained` takes for a --model; the random model is made if it is not there."""
    if model != "sd21-shape":
        return model
    from scripts.bench.models import ensure_random_model

    return str(ensure_random_model(RANDOM_MODEL))


def backbone_of(options: argparse.Namespace) -> str:
    """The row of the table whose layers the model has."""
    return "tiny" if options.model == "tiny" else "sd21-base"


def dtypes_of(options: argparse.Namespace) -> list[str]:
    """Names of the precisions to measure on the device, each once."""
    row, device = load_row(backbone_of(options)), pick_device(options.device)
    return list(dict.fromkeys(pick_dtype(dtype, device, row.cpu_dtype) for dtype in options.dtypes.split(",")))


def cases(options: argparse.Namespace) -> list[Case]:
    """What the options ask for, the plain path first."""
    backbone = backbone_of(options)
    common: dict[str, Any] = {"model": weights_of(options.model), "backbone": backbone, "repeats": options.repeats}
    common["device"] = options.device
    chosen = [Case("plain", dtype="float32", **common)] if options.baseline else []
    dtypes = dtypes_of(options)
    for dtype in dtypes:
        for batch in options.batches:
            one = Case("iseg", dtype=dtype, batch=batch, vae=options.vae, **common)
            chosen.append(one)
            if options.compile and dtype != "mixed":
                chosen.append(Case(**{**asdict(one), "compile": True}))
    if options.interaction:
        chosen.append(Case("interaction", dtype=dtypes[0], **common))
    return chosen


def check() -> int:
    """Ratios on the embedded model, most of them to the plain path, each against its limit."""
    plain = run_case(Case("plain", dtype="float32", repeats=CHECKED))["stages"]
    ours = run_case(Case("iseg", dtype="float32", repeats=CHECKED))["stages"]
    interaction = run_case(Case("interaction", dtype="float32", repeats=CHECKED))["stages"]
    ratios = {
        "end to end / plain path": ours["total"] / plain["total"],
        "clustering / plain loop": ours["cluster"] / plain["cluster"],
        "entropy reduction / plain steps": ours["entropy"] / plain["entropy"],
        "refinement / plain products": ours["refine"] / plain["refine"],
        "unaccounted / new entropy weight": interaction["other"] / interaction["new entropy"],
    }
    for name, ratio in ratios.items():
        print(f"{name}: {ratio:.2f} (limit {LIMITS[name]:.2f}) {'ok' if ratio <= LIMITS[name] else 'TOO SLOW'}")
    return int(any(ratio > LIMITS[name] for name, ratio in ratios.items()))


def positive(text: str) -> int:
    """A whole number from 1; argparse turns the error into one line."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text}: expected at least 1")
    return number


def sizes(text: str) -> list[int]:
    """Batch sizes "1,4,16"."""
    return [positive(part) for part in text.split(",")]


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tiny", help="tiny, sd21-shape (random weights, 5 GB on disk) or a folder")
    parser.add_argument("--device", default="cpu", help="what is measured: cpu, cuda or mps")
    parser.add_argument("--dtypes", default="auto,float32", help="of auto, mixed, float32, float16, bfloat16")
    parser.add_argument("--batches", type=sizes, default=[1], help="images per pass, e.g. 1,4,16")
    parser.add_argument("--compile", action="store_true", help="measure torch.compile as well")
    parser.add_argument("--vae", default=None, help="taesd or a folder with an AutoencoderTiny")
    parser.add_argument(
        "--baseline", action=argparse.BooleanOptionalAction, default=True, help="measure the plain path"
    )
    parser.add_argument("--interaction", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--repeats", type=positive, default=3)
    parser.add_argument("--growth", type=Path, default=None, metavar="FOLDER", help="write plots of cost growth there")
    parser.add_argument(
        "--agreement", type=positive, default=None, metavar="SCENES", help="pictogram scenes, or photographs"
    )
    parser.add_argument(
        "--profile", type=positive, default=None, metavar="IMAGES", help="with one of --dtypes, --batches"
    )
    parser.add_argument(
        "--everything", type=positive, default=None, metavar="REPEATS", help="regions without words, embedded model"
    )
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--json", type=Path, default=None, help="add the results to this file")
    return parser


def measure(options: argparse.Namespace) -> int:
    """Do what the options ask for; returns the exit code."""
    if options.check:
        return check()
    if options.growth:
        from scripts.bench.growth import growth

        result: Any = growth(options.growth)
    elif options.everything:
        from scripts.bench.everything import everything

        result = everything(options.everything, pick_device(options.device))
    elif options.agreement:
        from scripts.bench.agreement import agreement

        model, device = weights_of(options.model), pick_device(options.device)
        result = {
            "device": device_name(device),
            **agreement(options.agreement, dtypes_of(options), options.vae, model, device),
        }
    elif options.profile:
        from scripts.bench.dataset import profile

        result = [profile(options.profile, case) for case in cases(options) if case.path == "iseg"]
    else:
        results = [run_case(case) for case in cases(options)]
        print(stage_table(results), case_table(results), sep="\n\n")
        result = results
    if options.json:
        kind = next(
            (name for name in ("growth", "agreement", "profile", "everything") if getattr(options, name)), options.model
        )
        add_to_json(options.json, str(kind), result)
    return 0


def main(arguments: list[str] | None = None) -> int:
    try:
        return measure(build_parser().parse_args(arguments))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
