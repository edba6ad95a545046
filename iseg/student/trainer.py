"""A network being trained: updates, validations, checkpoints."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor
from tqdm import tqdm

from iseg.ahead import read_ahead
from iseg.data.classes import LabelClass
from iseg.data.items import Item
from iseg.errors import InputError
from iseg.evaluate.metrics import ConfusionMatrix
from iseg.evaluate.score import BACKGROUND, Score, save_summary, table
from iseg.evaluate.signals import finish_first
from iseg.files.export import write_image
from iseg.student.average import Average
from iseg.student.checkpoint import Progress, pack_optimizer, read_checkpoint, unpack_optimizer, write_checkpoint
from iseg.student.curves import curves, running_mean
from iseg.student.loss import pixel_loss
from iseg.student.network import Student, load_student, make_network, parameter_groups, save_student
from iseg.student.pictures import Pictures, share
from iseg.student.predict import score_student
from iseg.student.schedule import share as rate_share
from iseg.student.settings import Training

SEEDS_PER_STEP = 1000  # more than processes
WINDOW = 50  # updates over which the bar's loss is averaged


class Trainer:
    """A network being trained.

    Args:
        training: the settings.
        accelerator: the processes that share it.
        pictures: what is learnt; val: images with truth.
        classes: of the data set.
    """

    def __init__(
        self,
        training: Training,
        accelerator: Accelerator,
        pictures: Pictures,
        val: Sequence[Item],
        classes: Sequence[LabelClass],
    ) -> None:
        self.training, self.accelerator, self.pictures = training, accelerator, pictures
        self.val, self.classes, self.out = list(val), classes, Path(training.out)
        torch.manual_seed(training.seed)
        names = [BACKGROUND, *(entry.name for entry in classes)]
        network, self.mean, self.std = make_network(training, names)
        self.student = Student(network, self.mean, self.std).to(accelerator.device)
        groups = parameter_groups(network, training.rate, training.head_factor, training.weight_decay)
        self.full_rates = [group["lr"] for group in groups]
        self.average = Average(network, training.ema)
        self.progress = Progress()
        optimizer = torch.optim.AdamW(groups)
        saved = read_checkpoint(self.out / "checkpoint")
        if saved is not None:
            self.progress, parts = saved
            network.load_state_dict(parts["weights"])
            self.average.load_state_dict(parts["average"])
            unpack_optimizer(optimizer, parts["optimizer"])
            if accelerator.scaler is not None and parts["scaler"]:
                accelerator.scaler.load_state_dict({key: value.item() for key, value in parts["scaler"].items()})
        if accelerator.num_processes > 1 and accelerator.device.type == "cuda":
            self.student = torch.nn.SyncBatchNorm.convert_sync_batchnorm(self.student)
        self.model, self.optimizer = accelerator.prepare(self.student, optimizer)

    def run(self) -> None:
        """Every update that is missing. Raises Ended when a signal came, after the checkpoint was written."""
        training, progress, state = self.training, self.progress, self.accelerator
        show = state.is_main_process
        if progress.step and show:
            print(f"{progress.step} of {training.steps} updates were done before with the same settings: kept")
        numbers = share(progress.step, training.steps, training.batch_size, state.process_index, state.num_processes)
        batches = read_ahead(self.pictures.batch, numbers, training.readers)
        with (
            finish_first(show, "the update at hand is") as asked,
            tqdm(total=training.steps, initial=progress.step, desc="train", disable=None if show else True) as bar,
        ):
            for batch in batches:
                progress.losses.append(self.update(*batch))
                progress.step += 1
                bar.update()
                score = f"{100 * progress.validations[-1]['miou']:.1f}" if progress.validations else "-"
                bar.set_postfix(
                    loss=f"{running_mean(progress.losses[-WINDOW:], WINDOW)[-1]:.3f}", mIoU=score, refresh=False
                )
                told = self.told(asked.number)
                last = progress.step == training.steps
                if last or progress.step % training.validate_every == 0:
                    self.validate()
                if last or told or progress.step % training.checkpoint_every == 0:
                    self.save()
                if told:
                    asked.number = told
                    break
        asked.obey()

    def told(self, number: int | None) -> int | None:
        """The signal that came to any of the processes: all end after the same update, or one would wait for ever."""
        if self.accelerator.num_processes == 1:
            return number
        mine = torch.tensor([number or 0], device=self.accelerator.device)
        return int(self.accelerator.gather(mine).max()) or None

    def update(self, pixels: Tensor, labels: Tensor, weights: Tensor) -> float:
        """One step of the optimiser; returns the loss over the pictures of all processes."""
        training, state, step = self.training, self.accelerator, self.progress.step
        factor = rate_share(step, training.steps, training.schedule, training.power, training.warmup)
        for group, rate in zip(self.optimizer.param_groups, self.full_rates, strict=True):
            group["lr"] = rate * factor
        # what the network drops is decided by the update, so that a training that goes on drops the same
        torch.manual_seed((training.seed * training.steps + step) * SEEDS_PER_STEP + state.process_index)
        self.model.train()
        device = state.device
        total, counted = pixel_loss(self.model(pixels.to(device)), labels.to(device), weights.to(device))
        sums = state.reduce(torch.stack([total.detach(), counted.detach()]), "sum")
        # gradients are averaged over the processes; each divides by the weight of all of them
        state.backward(total * state.num_processes / sums[1].clamp_min(1e-6))
        state.clip_grad_norm_(self.model.parameters(), training.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.average.update(self.network)
        loss = float(sums[0] / sums[1].clamp_min(1e-6))
        if not np.isfinite(loss) and state.scaler is None:
            raise InputError(
                f"the loss is {loss} at update {step + 1}: a smaller rate may help (now {training.rate:g})"
            )
        return loss

    @property
    def network(self) -> Any:
        """The network itself, whatever wraps it."""
        return self.accelerator.unwrap_model(self.model).network

    def apart(self) -> Student:
        """The network without what wraps it for the training, such as less precision."""
        return Student(self.network, self.mean, self.std, self.training.scales).to(self.accelerator.device)

    def validate(self) -> None:
        """Score the averaged weights; the best so far are kept in OUT/best."""
        training, state = self.training, self.accelerator
        items = self.val[: training.val_limit][state.process_index :: state.num_processes]
        student = self.apart()
        with self.average.used_by(self.network):
            student.eval()
            counts = score_student(
                student, items, len(self.classes) + 1, training.scales, training.flip, state.is_main_process
            )
        total = state.reduce(torch.from_numpy(counts.counts).to(state.device), "sum")
        counts.counts = total.cpu().numpy()
        summary = {"step": self.progress.step, "miou": counts.mean_iou(), "pixel_accuracy": counts.pixel_accuracy(),
                   "mean_accuracy": counts.mean_accuracy()}  # fmt: skip
        self.progress.validations.append(summary)
        if self.progress.best is None or summary["miou"] > self.progress.best:
            self.progress.best = summary["miou"]
            self.write_student("best")

    def write_student(self, name: str) -> None:
        """Write OUT/NAME, in one of the processes."""
        if self.accelerator.is_main_process:
            save_student(self.out / name, self.apart(), self.average.weights)

    def save(self) -> None:
        """Write the checkpoint, the newest student and the curves, in one of the processes."""
        if not self.accelerator.is_main_process:
            return
        scaler = self.accelerator.scaler
        parts = {
            "weights": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": pack_optimizer(self.optimizer.optimizer),
            "scaler": {key: torch.tensor(value) for key, value in scaler.state_dict().items()} if scaler else {},
        }
        write_checkpoint(self.out / "checkpoint", self.progress, parts)
        self.write_student("last")
        done = self.progress.validations
        write_image(self.out / "curves.png", curves(self.progress.losses, [each["step"] for each in done],
                                                    [each["miou"] for each in done]))  # fmt: skip

    def conclude(self) -> None:
        """Score the best student on the whole validation; write results.json and results.csv, print the table."""
        training, num_classes = self.training, len(self.classes) + 1
        student = load_student(self.out / "best", self.accelerator.device)
        counts: ConfusionMatrix = score_student(student, self.val, num_classes, training.scales, training.flip)
        summary = Score(counts, len(self.val)).summary(self.classes)
        progress = self.progress
        done = {"updates": progress.step, "best_miou": progress.best, "validations": progress.validations,
                "final_loss": running_mean(progress.losses, WINDOW)[-1], "settings": training.decides()}  # fmt: skip
        save_summary({**summary, **done}, self.out)
        print(table(summary))
        print(f"results: {training.out}; the student: {self.out / 'best'}")
