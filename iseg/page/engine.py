"""The model behind the page: loaded in the background, one request at a time, what it computed kept within bounds."""

import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from iseg import prompt, solve
from iseg.errors import InputError
from iseg.page import model, solved
from iseg.page.combine import combined
from iseg.page.decision import Step
from iseg.page.everything import found_at, piece_map
from iseg.page.images import Images
from iseg.page.objects import PageObject
from iseg.page.people import Check
from iseg.page.settings import MEGA, UiSettings
from iseg.page.solved import Solved
from iseg.page.uploads import image_id
from iseg.pipeline import ISeg
from iseg.recipe import Recipe
from iseg.regions import Regions
from iseg.results import Attended


class NotReady(InputError):
    """The model is still being loaded."""


class Engine:
    """Images and objects in, refined maps out. Every use of the model goes through one lock."""

    def __init__(self, settings: UiSettings, load: model.Loader = model.load_model) -> None:
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

    def switch(self, name: str) -> None:
        """Load another model and go on with it. Raises InputError if it cannot be had: the old one stays."""
        seg, problem = self._load(replace(self.settings, model=name))
        if problem:
            raise InputError(problem)
        with self._lock:
            self._seg, self.notice = seg, ""
            self._images.forget()

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
        described: dict[str, Any] = {"state": state, "notice": self.notice, "error": self.error, "limits": ""}
        if self._seg is not None:
            described |= model.described(self._seg, self.settings.max_iterations)
        return described

    @property
    def is_embedded(self) -> bool:
        """Whether the model is, or is about to be, the embedded one, which knows pictograms only."""
        if self._seg is not None:
            return self._seg.backbone.row.words is not None
        return self.settings.model in (self.settings.fallback, "auto")

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

    def prepare(self, name: str, check: Check) -> dict[str, Any]:
        """Run the empty prompt's pass of an image, which all marks share; returns what the page needs of it."""
        with self._turn(check):
            recipe = self._recipe()
            attended = self._attend(name, (), recipe)
            return {"grid": attended.grid_size, "edges": solved.edges(attended, recipe)}

    def solved(self, name: str, wanted: PageObject, check: Check, only_last: bool = False) -> dict[str, Any]:
        """Maps after 0..max_iterations, one per phrase for words alone, else one; or a score: see `solved.told`.

        only_last: those after the object's own iterations alone.
        """
        with self._turn(check):
            found = self._solve(name, wanted, wanted.iterations if only_last else self.settings.max_iterations)
            return solved.told(found, only_last)

    def scores(self, name: str, objects: Sequence[PageObject], step: Step) -> list[Tensor]:
        """The score (h', w') in [0, 1] of each object, on the CPU; `step` is called before each."""
        found = []
        for k, each in enumerate(objects):
            index = each.words.index if each.words and not each.marks else 0
            with self._turn(partial(step, k, len(objects))):
                found.append(self._solve(name, each, each.iterations).fine(index))
        return found

    def everything(self, name: str, coarse: float, check: Check) -> Regions:
        """The regions without words of an image; another coarseness needs no further pass."""
        with self._turn(check):
            return self._found(name, coarse)

    def _found(self, name: str, coarse: float) -> Regions:
        state = self._images.get(name)
        self.stage = "Cutting the image into regions"
        state.regions = found_at(coarse, state.regions, lambda: self.seg.regions(image=state, coarse=coarse))
        return state.regions

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

    def _recipe(self, **settings: Any) -> Recipe:
        """The model's settings as the page uses them: scores of marks are decided at the model's own threshold."""
        return self.seg.recipe.changed(working_size=None, background=model.threshold_of(self.seg.recipe), **settings)

    def _solve(self, name: str, wanted: PageObject, iterations: int) -> Solved:
        """The maps of an object after 0..iterations, or its score.

        Words alone give one map per phrase; marks, or both, one: of both, the merged maps of each count alike, and what
        was marked as not belonging to the object is subtracted. An object that was only painted has a map of zeros.
        """
        seg, marks, words = self.seg, wanted.marks, wanted.words
        recipe = self._recipe(
            entropy=wanted.entropy, enhancement=wanted.enhancement, iterations=iterations, **dict(wanted.decision)
        )
        attended, spoken = None, None
        if words:
            seg.backbone.row.check_words(words.phrases)
            attended = self._attend(name, words.phrases, recipe)
            spoken = solve.refine_classes(attended, recipe)
            if not marks:
                return Solved(spoken, attended, recipe).outlined(wanted.iterations, None)
            spoken = spoken[..., [words.index]]
        attended = self._attend(name, (), recipe)
        if wanted.pieces and not words:
            map_ = piece_map(self._found(name, wanted.pieces.coarse), wanted.pieces)
            spoken = map_.to(seg.backbone.device).expand(iterations + 1, -1, -1)
            if not marks:
                return Solved(spoken, attended, recipe, follows_edges=False)
        if not marks:
            blank = attended.attention.new_zeros((iterations + 1, attended.grid_size**2, 1))
            return Solved(blank, attended, recipe, follows_edges=False)
        self.stage = "Refining"
        own = recipe.changed(iterations=wanted.iterations)
        found = solved.decided(attended, marks, own) if spoken is None else None
        if found:
            return found
        steps = combined(attended, marks, spoken, recipe, self.settings.max_cells)
        found = Solved(steps, attended, recipe, of_marks=spoken is None)
        return found.outlined(wanted.iterations, marks)

    def _attend(self, name: str, phrases: tuple[str, ...], recipe: Recipe) -> Attended:
        seg, state = self.seg, self._images.get(name)
        words = prompt.class_words(phrases) if phrases else []
        if not state.holds(recipe.pass_key(words)):
            self.stage = f"Reading “{'; '.join(phrases)}” in the image" if phrases else "Reading the image"
        return seg.attend_image(state, recipe, words)
