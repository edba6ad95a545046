"""The worker: images, as many at once as they are dealt and memory takes, each with a result or a failure."""

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Generic, TypeVar

import torch
from tqdm import tqdm

from iseg.pipeline import ISeg
from iseg.work.attempt import attempt
from iseg.work.trouble import Failure, made_or_failure

Given = TypeVar("Given")
Made = TypeVar("Made")


class Worker(Generic[Given, Made]):
    """Segments images that somebody deals.

    Args:
        load: gives the model, which is loaded when it is first asked for.
        work: (model, images) -> what is made of each. It may run again: with fewer of the images, and in float32.
    """

    def __init__(self, load: Callable[[], ISeg], work: Callable[[ISeg, Sequence[Given]], Sequence[Made]]) -> None:
        self._load, self._work = load, work
        self.most = sys.maxsize  # images at once that memory allows, as far as is known

    @cached_property
    def model(self) -> ISeg:
        """The model. Raises what loading it does."""
        return self._load()

    def each(self, images: Sequence[Given]) -> Iterator[tuple[Given, Made | Failure]]:
        """Every image, in order, with what was made of it or why nothing was. Raises what is no image's trouble.

        They are segmented at once: in halves where memory does not take them, one by one where one spoils the others.
        """
        waiting, singly, allowed = list(images), 0, self.most
        while waiting:
            part = waiting[: 1 if singly else self.most]
            made = self._attempt(part)
            if isinstance(made, Failure) and len(part) > 1:
                if made.memory:
                    self.most = len(part) // 2
                    tqdm.write(f"not enough memory for {len(part)} images at once: {self.most} are tried", sys.stderr)
                else:
                    singly = len(part)
                continue
            if isinstance(made, Failure):
                if made.memory:  # it is this image that is too large, not the number of them
                    self.most = allowed
                yield part[0], made
            else:
                yield from zip(part, made, strict=True)
            waiting, singly = waiting[len(part) :], max(0, singly - 1)

    def _attempt(self, images: Sequence[Given]) -> Sequence[Made] | Failure:
        model = self.model
        alone = len(images) == 1
        made = made_or_failure(lambda: attempt(model.backbone, lambda: self._work(model, images), again=alone))
        if isinstance(made, Failure) and made.memory and torch.cuda.is_available():
            torch.cuda.empty_cache()  # the exception is gone, and with it what it kept alive
        return made
