"""One training step of the tiny model: losses on attention maps, and now and then on denoising."""

import os
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.distributed as dist
import torch.nn.functional as F
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from safetensors.torch import load_file
from torch import Tensor, nn

from scripts.train_tiny import losses
from scripts.train_tiny.batches import Batch, BatchPlan
from scripts.train_tiny.captions import prompt
from scripts.train_tiny.model import (
    GRID,
    MAX_TOKENS,
    build_scheduler,
    build_text_encoder,
    build_tokenizer,
    build_unet,
    patch_basis,
)
from scripts.train_tiny.network import MapNetwork
from scripts.train_tiny.noise import ENHANCEMENT, draw_noise, enhance
from scripts.train_tiny.optimizer import MatrixOptimizer
from scripts.train_tiny.sprites import read_words

CROSS_WEIGHTS = {24: 0.5, 12: 0.5}
ITERATED = 4  # one scene in so many, where the grid is coarser than the model's own, is refined in full, with this
ENTROPY = 1.0  # weight


@dataclass
class Settings:
    """Everything that decides a run; losses are weighted as named."""

    steps: int = 6000
    decay_steps: int = 1000
    warmup_steps: int = 100
    batch_size: int = 16
    bank_size: int = 16384
    learning_rate: float = 4.5e-4
    matrix_rate: float = 1e-3
    queries: int = 96
    token: float = 1.0
    word: float = 2.0
    region: float = 4.0
    raw: float = 1.0
    refined: float = 1.0
    iterated: float = 3.0
    denoise: float = 0.5
    denoise_every: int = 32
    ema: float = 0.998
    checkpoint_every: int = 250
    processes: int = 2
    seed: int = 0
    init: str = ""
    sizes: str = "384,384,384,256"  # sides of the images in pixels, taken in turn


class Trainer:
    """Model, optimiser, moving average and the step; process `rank` of `world` works on its share of every batch."""

    def __init__(self, settings: Settings, out: Path, rank: int = 0, world: int = 1) -> None:
        self.settings, self.out, self.rank, self.world = settings, out, rank, world
        torch.manual_seed(settings.seed)
        self.tokenizer = build_tokenizer()
        self.text_encoder, unet = build_text_encoder(self.tokenizer), build_unet()
        if settings.init:
            start_from(Path(settings.init), unet, self.text_encoder)
        # the decorator hides the method
        self.network = MapNetwork(unet.to(memory_format=torch.channels_last))  # type: ignore[call-arg]
        self.weights = [*unet.parameters(), *self.text_encoder.parameters()]
        self.average = [weight.detach().clone() for weight in self.weights]
        self.optimizer = MatrixOptimizer(
            [unet, self.text_encoder], settings.learning_rate, settings.matrix_rate, rank, world
        )
        basis, bias = patch_basis()
        self.basis, self.bias = basis.to(memory_format=torch.channels_last), bias
        self.scheduler: DDIMScheduler = build_scheduler()
        share, sizes = settings.batch_size // world, [int(size) for size in settings.sizes.split(",")]
        self.plan = BatchPlan(out / f"bank{rank}", settings.bank_size // world, share, self.tokenizer, sizes, world)
        self.step = 0

    def rate(self, step: int) -> float:
        """Share of the learning rate at `step`."""
        left = (self.settings.steps - step) / max(1, self.settings.decay_steps)
        return min(1.0, (step + 1) / self.settings.warmup_steps, left)

    def advance(self) -> dict[str, float]:
        """One step; returns this rank's losses."""
        # Every rank of every step draws from a generator of its own, so that a resumed run repeats nothing.
        number = self.step * self.world + self.rank
        generator = torch.Generator().manual_seed(self.settings.seed * 10**9 + number)
        batch = self.plan[number]
        latents = F.conv2d(batch.images.float() / 127.5 - 1, self.basis, self.bias, stride=self.basis.shape[-1])
        self.optimizer.zero_grad()
        parts = self.supervised(batch, latents, generator)
        total = sum(getattr(self.settings, name) * value for name, value in parts.items())
        total.backward()
        if self.step % self.settings.denoise_every == 0:
            parts["denoise"] = self.denoising(batch, latents, generator)
            (self.settings.denoise * parts["denoise"]).backward()
        self.average_gradients()
        nn.utils.clip_grad_norm_(self.weights, 1.0)
        self.optimizer.step(self.rate(self.step))
        self.step += 1
        with torch.no_grad():
            decay = min(self.settings.ema, self.step / (self.step + 20))
            torch._foreach_lerp_(self.average, [weight.detach() for weight in self.weights], 1 - decay)
        return {name: float(value.detach()) for name, value in parts.items()}

    def average_gradients(self) -> None:
        """Mean of the gradients over the ranks; parameters that no loss reached have none."""
        gradients = []
        for weight in self.weights:
            if weight.grad is None:
                weight.grad = torch.zeros_like(weight)
            gradients.append(weight.grad)
        if self.world > 1:
            flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
            dist.all_reduce(flat)
            parts = flat.div_(self.world).split([gradient.numel() for gradient in gradients])
            for gradient, part in zip(gradients, parts, strict=True):
                gradient.copy_(part.view_as(gradient))

    def supervised(self, batch: Batch, latents: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """The losses on attention maps, at mostly the noise that inference adds."""
        noise, timesteps = draw_noise(latents, generator)
        noisy = self.noised(latents, noise, timesteps)
        text = self.text_encoder(batch.tokens).last_hidden_state
        text = enhance(text, batch.spans, generator)
        grid = latents.shape[-1]
        truth = F.adaptive_avg_pool2d(batch.truth.float(), grid)
        labels = losses.cell_labels(truth)
        queries = losses.sample_queries(labels, self.settings.queries, generator)
        complete = len(latents) // ITERATED if grid < GRID else 0  # on its own it would cost more than all else
        maps, rows, logits, matrices = self.network(noisy, timesteps, text, queries, self.word_embeddings(), complete)
        probabilities = {r: losses.class_probabilities(values, batch.spans) for r, values in maps.items()}
        fused = losses.fuse(probabilities, CROSS_WEIGHTS, grid)
        asked = queries[:, None].expand(-1, truth.shape[1], -1)
        flat = truth.flatten(2)
        zero = torch.zeros(())
        token = sum((losses.token_loss(values, truth, batch.present) for values in probabilities.values()), zero)
        parts = {
            "token": token,
            "word": sum((losses.word_loss(values, truth, batch.ids) for values in logits), zero) / len(logits),
            "region": losses.region_loss(rows, queries, labels, truth),
            "raw": losses.label_loss(fused, flat, batch.present),
            "refined": losses.label_loss(losses.refined_scores(rows, fused), flat.gather(2, asked), batch.present),
        }
        if complete:
            parts["iterated"] = losses.iterated_loss(
                matrices, fused[:complete], flat[:complete], batch.present[:complete], ENTROPY
            )
        return parts

    def word_embeddings(self) -> Tensor:
        """Enhanced embeddings (W, E) of the 20 class words, each the last token of its word in a prompt of its own."""
        texts = [prompt([word.name]) for word in read_words()]
        encoded = self.tokenizer(texts, padding="max_length", max_length=MAX_TOKENS, return_offsets_mapping=True)
        ends = [len("a photograph of ") + len(word.name) for word in read_words()]
        last = [[b for _, b in row].index(end) for row, end in zip(encoded["offset_mapping"], ends, strict=True)]
        # the encoder is causal: what follows a word changes nothing
        states = self.text_encoder(torch.tensor(encoded["input_ids"])[:, : max(last) + 1]).last_hidden_state
        return ENHANCEMENT * states[torch.arange(len(last)), torch.tensor(last)]

    def noised(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Latents (B, C, g, g) with noise of their shape at timesteps (B,), channels last."""
        mixed = self.scheduler.add_noise(latents, noise, timesteps)  # type: ignore[arg-type]  # any integers will do
        return mixed.contiguous(memory_format=torch.channels_last)

    def denoising(self, batch: Batch, latents: Tensor, generator: torch.Generator) -> Tensor:
        """Epsilon prediction at every noise level, on half of the batch."""
        part = slice(0, max(1, len(latents) // 2))
        clean = latents[part]
        noise = torch.randn(clean.shape, generator=generator)
        timesteps = torch.randint(0, self.scheduler.config["num_train_timesteps"], (len(clean),), generator=generator)
        noisy = self.noised(clean, noise, timesteps)
        text = self.text_encoder(batch.tokens[part]).last_hidden_state
        return F.mse_loss(self.network.unet(noisy, timesteps, text).sample, noise)

    def save(self) -> None:
        """Write everything that a resumed run needs, in one move."""
        state = {
            "step": self.step, "average": self.average, "optimizer": self.optimizer.state_dict(),
            "unet": self.network.unet.state_dict(), "text_encoder": self.text_encoder.state_dict(),
            "settings": asdict(self.settings),
        }  # fmt: skip
        temporary = self.out / "checkpoint.part"
        torch.save(state, temporary)
        os.replace(temporary, self.out / "checkpoint.pt")

    def load(self) -> bool:
        """Go on from the last checkpoint; False when there is none."""
        path = self.out / "checkpoint.pt"
        if not path.is_file():
            return False
        state = torch.load(path, weights_only=True)
        self.network.unet.load_state_dict(state["unet"])
        self.text_encoder.load_state_dict(state["text_encoder"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.average, self.step = state["average"], state["step"]
        return True

    def use_average(self) -> None:
        """Put the moving average in place of the weights: for evaluation and export, not for going on."""
        with torch.no_grad():
            for weight, average in zip(self.weights, self.average, strict=True):
                weight.copy_(average)


def start_from(folder: Path, unet: nn.Module, text_encoder: nn.Module) -> None:
    """Take the weights of an exported model of the same shape."""
    unet.load_state_dict(load_file(folder / "unet/diffusion_pytorch_model.safetensors"))
    text_encoder.load_state_dict(load_file(folder / "text_encoder/model.safetensors"))
