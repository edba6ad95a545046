"""Train the tiny model on scenes.

    python -m scripts.train_tiny.train --out runs/tiny --steps 6000 --decay-steps 1000

goes on from the last checkpoint of that folder if there is one. The learning rate warms up, stays, and falls to zero
over the last `--decay-steps`; so a run can be stopped at any time and finished from its last checkpoint with a new
`--steps`. Each of `--processes` works on its share of every batch on one thread and gradients are averaged: on a busy
machine this is faster than one process with many threads.
"""

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from scripts.train_tiny.trainer import Settings, Trainer


def work(rank: int, settings: Settings, out: Path) -> None:
    """One process of a run: steps until the last one, checkpoints and a line of losses now and then."""
    torch.set_num_threads(1)
    if settings.processes > 1:
        store = dist.FileStore(str(out / "rendezvous"), settings.processes)
        dist.init_process_group("gloo", store=store, rank=rank, world_size=settings.processes)
    trainer = Trainer(settings, out, rank, settings.processes)
    trainer.load()
    started, first, seen = time.monotonic(), trainer.step, []
    while trainer.step < settings.steps:
        seen.append(trainer.advance())
        if rank == 0 and (trainer.step % 25 == 0 or trainer.step == settings.steps):
            names = sorted({name for line in seen for name in line})
            means = {name: [line[name] for line in seen if name in line] for name in names}
            pace = (time.monotonic() - started) / (trainer.step - first)
            left = pace * (settings.steps - trainer.step) / 60
            line: dict[str, float] = {name: round(sum(values) / len(values), 4) for name, values in means.items()}
            line = {"step": trainer.step, **line, "seconds per step": round(pace, 3), "minutes left": round(left, 1)}
            print(json.dumps(line), flush=True)
            seen = []
        if rank == 0 and (trainer.step % settings.checkpoint_every == 0 or trainer.step == settings.steps):
            trainer.save()
    if settings.processes > 1:
        dist.destroy_process_group()


def train(settings: Settings, out: Path) -> None:
    """Run all processes to the end."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "rendezvous").unlink(missing_ok=True)
    if settings.processes == 1:
        work(0, settings, out)
    else:
        mp.spawn(work, (settings, out), nprocs=settings.processes)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/tiny"))
    for name, value in asdict(Settings()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    options = vars(parser.parse_args(arguments))
    out = options.pop("out")
    train(Settings(**options), out)


if __name__ == "__main__":
    main()
