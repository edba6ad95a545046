"""The model behind the page: loaded in the background, one request at a time, what it computed kept within bounds."""

import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from iseg import masks, prompt, solve
from iseg.backbones.find import locate
from iseg.backbones.table import load_row
from iseg.errors import InputError
from iseg.page.images import Images
from iseg.page.objects import PageObject, Words, seed_columns
from iseg.page.settings import MEGA, UiSettings
from iseg.page.uploads import image_id
from iseg.pipeline import ISeg
from iseg.recipe import Recipe
from iseg.results import Attended

POWER = 0.382  # the score m at which m = (1 - m)^2: above it the background "power" gives way

Check = Callable[[], None]
Loader = Callable[[UiSettings], tuple[ISeg, str]]


class NotReady(InputError):
    """The model is still being loaded."""


def load_model(settings: UiSettings) -> tuple[ISeg, str]:
    """The model that the settings ask for, else the fallback; with a notice for people ("" if there is none)."""
    name, notice = settings.model, ""
    if name == "auto":
        name = "sd21-base"
        try:
            locate(load_row(name), download=False)
        except InputError:
            notice = (
                f"The weights of {name} are not on this machine, so the embedded model “{settings.fallback}” is used: "
                f"it knows pictograms, not photographs. Start with --model {name} to download them, or --model FOLDER."
            )
            name = settings.fallback
    try:
        return ISeg.from_pretrained(name, device=settings.device, dtype=settings.dtype), notice
    except InputError as error:
        if name == settings.fallback:
            raise
        loaded = ISeg.from_pretrained(settings.fallback, device=settings.device, dtype=settings.dtype)
        return loaded, f"{error} — the embedded model “{settings.fallback}” is used instead."


class Engine:
    """Images and objects in, refined maps out. Every use of the model goes through one lock."""

    def __init__(self, settings: UiSettings, load: Loader = load_model) -> None:
        self.settings = settings
        self.notice = ""
        self.error = ""
        self._load = load
        self._seg: ISeg | None = None
        self._lock = threading.Lock()
        self._images = Images(settings.cache_mb * MEGA)
        self.stage = ""  # what the model is doing now, for people

    def start(self) -> threading.Thread:
        """Load the model in the background."""
        thread = threading.Thread(target=self.load, daemon=True, name="load-model")
        thread.start()
        return thread

    def load(self) -> None:
        """Load the model; a failure is kept as `error` for the page."""
        try:
            self._seg, self.notice = self._load(self.settings)
        except InputError as error:
            self.error = str(error)
        except Exception:
            traceback.print_exc()
            self.error = "the model could not be loaded: see the server's messages"

    @property
    def seg(self) -> ISeg:
        """The model. Raises NotReady while it is loading, InputError if it cannot be had."""
        if self._seg is not None:
            return self._seg
        if self.error:
            raise InputError(self.error)
        raise NotReady("the model is still being loaded")

    def describe(self) -> dict[str, Any]:
        """State of the model for the page: state, name, notice, words it knows, its settings."""
        state = "ready" if self._seg else "failed" if self.error else "loading"
        described: dict[str, Any] = {"state": state, "notice": self.notice, "error": self.error}
        if self._seg is not None:
            backbone, recipe = self._seg.backbone.row, self._seg.recipe
            threshold = POWER if recipe.background == "power" else float(recipe.background)
            described |= {
                "name": backbone.name,
                "note": backbone.note,
                "device": str(self._seg.backbone.device),
                "words": list(backbone.words or []),
                "defaults": {
                    "iterations": min(recipe.iterations, self.settings.max_iterations),
                    "threshold": threshold,
                    "entropy": min(recipe.entropy, 1.0),
                    "enhancement": recipe.enhancement,
                },
            }
        return described

    @property
    def nbytes(self) -> int:
        """Bytes held for images and recorded attention."""
        return self._images.nbytes

    def add_image(self, image: NDArray[np.uint8]) -> str:
        """Keep an image (H, W, 3) uint8; returns its id."""
        name = image_id(image)
        self._images.add(name, image)
        return name

    def image(self, name: str) -> NDArray[np.uint8]:
        """A kept image (H, W, 3). Raises ImageGone if it had to make room."""
        return self._images.get(name).pixels

    def prepare(self, name: str, check: Check) -> int:
        """Run the empty prompt's pass of an image, which all marks share; returns the grid's side."""
        with self._turn(check):
            return self._attend(name, (), self.seg.recipe).grid_size

    def trajectory(self, name: str, wanted: PageObject, check: Check) -> NDArray[np.float32]:
        """Maps (N + 1, K, g, g) after 0..max_iterations: K = 1 for marks, one per phrase for words."""
        with self._turn(check):
            steps = self._steps(name, wanted, self.settings.max_iterations)
            side = round(steps.shape[1] ** 0.5)
            return steps.transpose(1, 2).unflatten(2, (side, side)).float().cpu().numpy()

    def segment(
        self, name: str, objects: Sequence[PageObject], check: Check
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Labels (H, W), k + 1 = k-th object, and scores (K, H, W) in [0, 1], at the image's own size.

        Each object's scores under its own threshold count as 0; the highest score wins, the first of equals.
        """
        size = self.image(name).shape[:2]
        with self._turn(check):
            last = [self._steps(name, each, each.iterations)[-1] for each in objects]
        columns = [
            steps[:, each.source.index] if isinstance(each.source, Words) else steps[:, 0]
            for steps, each in zip(last, objects, strict=True)
        ]
        stacked, ids = torch.stack(columns, 1), range(1, len(objects) + 1)
        labels = masks.decide(stacked, (size[0], size[1]), ids, [each.threshold for each in objects], None)
        scores = masks.score_maps(stacked, (size[0], size[1]), None)
        return labels.cpu().numpy(), scores.cpu().numpy()

    @contextmanager
    def _turn(self, check: Check) -> Iterator[None]:
        """Wait for the model; leave at once if a later request came meanwhile."""
        _ = self.seg
        with self._lock:
            check()
            try:
                yield
            finally:
                self.stage = ""
        self._images.trim()

    def _steps(self, name: str, wanted: PageObject, iterations: int) -> Tensor:
        """Maps (N + 1, HW, K) of an object after 0..iterations."""
        seg = self.seg
        recipe = seg.recipe.changed(
            entropy=wanted.entropy, enhancement=wanted.enhancement, iterations=iterations, working_size=None
        )
        if isinstance(wanted.source, Words):
            seg.backbone.row.check_words(wanted.source.phrases)
            return solve.refine_classes(self._attend(name, wanted.source.phrases, recipe), recipe)
        attended = self._attend(name, (), recipe)
        columns, negative = seed_columns(wanted.source, attended.size, attended.grid_size, self.settings.max_cells)
        self.stage = "Refining"
        return solve.refine_seeds(attended, columns, recipe, negative)

    def _attend(self, name: str, phrases: tuple[str, ...], recipe: Recipe) -> Attended:
        seg, state = self.seg, self._images.get(name)
        words = prompt.class_words(phrases) if phrases else []
        if not state.holds(recipe.pass_key(words)):
            self.stage = f"Reading “{'; '.join(phrases)}” in the image" if phrases else "Reading the image"
        return seg.attend_image(state, recipe, words)
