"""Give iseg seeded bad, good and strange input and count what it must never do.

    python -m scripts.fuzz                          # 2,000 inputs, seed 0
    python -m scripts.fuzz --seed 7 --inputs 300 --kinds image,yaml
    python -m scripts.fuzz --seed 7 --only 123      # one input again, with all that it says

Counted are traces, zero exits for bad input, refusals of good input, half-written files, lines of more than 500
characters and raw control characters. All runs in this process with the embedded model. Exit code 1 if anything was
counted.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import torch
from huggingface_hub import constants
from tqdm import tqdm

from iseg.evaluate.score import markdown
from iseg.files.export import write_json
from scripts.fuzz import api, files, images, models, options
from scripts.fuzz.case import Finding, Generator
from scripts.fuzz.run import DEFECTS, Models, run

KINDS: dict[str, tuple[Generator, int]] = {  # and how often each comes
    "image": (images.image, 4),
    "name": (images.name, 2),
    "yaml": (files.yaml, 4),
    "labels": (files.labels, 2),
    "classes": (files.classes, 2),
    "model": (models.model, 2),
    "number": (options.number, 4),
    "prompt": (options.prompt, 4),
    "api": (api.arguments, 4),
}


def fuzz(seed: int, indices: list[int], kinds: list[str]) -> dict[str, Any]:
    """Run inputs of a seed and return counts and findings; an index is the same input whatever else is run."""
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in kinds}
    findings: list[Finding] = []
    loaded, drawn = Models(), [kind for kind in kinds for _ in range(KINDS[kind][1])]
    # a name of the hub is a name of nothing here: no input waits for the network
    with tempfile.TemporaryDirectory() as place, mock.patch.object(constants, "HF_HUB_OFFLINE", True):
        os.environ["ISEG_HOME"] = str(Path(place) / "state")
        for index in tqdm(indices, unit="input", disable=None):
            rng = Random(f"{seed} {index}")
            kind, folder = rng.choice(drawn), Path(place) / str(index)
            folder.mkdir()
            case = KINDS[kind][0](rng, folder)
            counts[kind][case.sort] += 1
            for defect, said in run(case, loaded):
                counts[kind][defect] += 1
                findings.append(Finding(index, kind, case.what, defect, said.replace(place, "")[:600]))
            shutil.rmtree(folder, ignore_errors=True)
    return {
        "seed": seed,
        "inputs": len(indices),
        "kinds": {kind: dict(count) for kind, count in counts.items()},
        "defects": {defect: sum(count[defect] for count in counts.values()) for defect in DEFECTS},
        "findings": [asdict(finding) for finding in findings],
    }


def table(result: dict[str, Any]) -> str:
    """Kinds against expectations and defects."""
    columns = ("bad", "good", "either", *DEFECTS)
    rows = [[kind, *(str(count.get(column, 0)) for column in columns)] for kind, count in result["kinds"].items()]
    total = [str(sum(count.get(column, 0) for count in result["kinds"].values())) for column in columns]
    return markdown(("input", *columns), [*rows, ["all", *total]])


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--inputs", type=int, default=2000)
    parser.add_argument("--kinds", default=",".join(KINDS), help="of " + ", ".join(KINDS))
    parser.add_argument("--only", type=int, metavar="INDEX", help="this input alone; give the same --kinds")
    parser.add_argument("--json", type=Path, help="write the result to this file")
    asked = parser.parse_args(arguments)
    kinds = asked.kinds.split(",")
    if unknown := set(kinds) - set(KINDS):
        parser.error(f"--kinds {unknown.pop()!r}: expected any of {', '.join(KINDS)}")
    torch.set_num_threads(1)  # the model is small: threads would wait for each other
    result = fuzz(asked.seed, list(range(asked.inputs)) if asked.only is None else [asked.only], kinds)
    print(table(result))
    for each in result["findings"]:
        again = f"--seed {asked.seed} --only {each['index']}"
        again += f" --kinds {asked.kinds}" if kinds != list(KINDS) else ""
        print(f"{again}: {each['kind']}, {each['what']!a}: {each['defect']}: {each['said']!a}")
    if asked.json:
        write_json(asked.json, result)
    print(json.dumps({key: result[key] for key in ("seed", "inputs", "defects")}))
    return int(any(result["defects"].values()))


if __name__ == "__main__":
    sys.exit(main())
