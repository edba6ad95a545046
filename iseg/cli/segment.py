"""`iseg segment`: images and folders -> masks and pictures of them."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from tqdm import tqdm

from iseg.cli.inputs import list_items
from iseg.cli.prompts import check_inside
from iseg.cli.settings import Job, read_job
from iseg.data.items import Item
from iseg.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from iseg.pipeline import ISeg
    from iseg.results import Segmentation
    from iseg.tagging import Tagger

FAILED = 1
LONG = 3  # from so many images on, a terminal shows how far the work is


class ImageFailed(Exception):
    """One image could not be segmented; the others can."""


def run(arguments: list[str]) -> int:
    """Segment everything asked for and return the exit code: 0, or 1 if some image failed. InputError for bad usage."""
    if "--everything" in arguments:
        from iseg.cli import everything

        return everything.run(arguments)
    job = read_job(arguments)
    items = list_items(job.images, Path(job.settings.out))
    worker = Worker(job)
    failures = []
    with tqdm(items, unit="image", disable=len(items) < LONG or not sys.stderr.isatty()) as bar:
        for item in bar:
            try:
                line = worker.segment(item)
            except ImageFailed as error:
                failures.append(error)
                _say(f"error: {error}", sys.stderr)
            else:
                _say(line, sys.stdout)
    if len(items) > 1:
        _sum_up(len(items), failures, job.settings.out)
    return FAILED if failures else 0


def _say(line: str, stream: TextIO) -> None:
    tqdm.write(" ".join(line.split()), file=stream)  # leaves a progress bar whole


def _sum_up(count: int, failures: list[ImageFailed], out: str) -> None:
    if not failures:
        print(f"{count} images done: results are in {out}")
        return
    print(f"{count - len(failures)} of {count} images done, {len(failures)} failed:")
    for error in failures:
        print(f"  {error}")


class Worker:
    """Segments images one by one; the model is loaded when the first image has been read."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self._model: ISeg | None = None
        self._tagger: Tagger | None = None

    def segment(self, item: Item) -> str:
        """Read, segment and save one image and return a line about it.

        Raises ImageFailed for what is wrong with this image, InputError for what would stop every other image too.
        """
        from iseg.cli.outputs import describe, save_results
        from iseg.files.images import read_image

        try:
            image = read_image(item.image)
            check_inside(self.job.marks, (image.shape[0], image.shape[1]))
        except (InputError, OSError, MemoryError) as error:
            raise _failed(item, error) from None
        model = self._load()
        result = self._result(model, item, image)
        written = save_results(self.job, item, image, result, model.backbone)
        return f"{item.image} -> {written[0]}: {describe(result)}"

    def _result(self, model: "ISeg", item: Item, image: "NDArray[np.uint8]") -> "Segmentation":
        import torch

        marks = self.job.marks
        try:
            model.set_image(image)
            return model.segment(
                classes=self.job.classes or self._words_in(image),
                points=marks.points or None,
                negative=marks.negative,
                line=marks.lines[0] if marks.lines else None,
                box=marks.boxes[0] if marks.boxes else None,
                trajectory="animation" in self.job.save,
            )
        except InputError as error:
            raise _failed(item, error) from None
        except (MemoryError, torch.cuda.OutOfMemoryError):
            raise ImageFailed(f"{item.image}: not enough memory: try --device cpu or a smaller image") from None

    def _words_in(self, image: "NDArray[np.uint8]") -> list[str] | None:
        """The words of the vocabulary that CLIP finds in an image; None if no vocabulary was given."""
        vocabulary = self.job.vocabulary
        if vocabulary is None or self._tagger is None:
            return None
        return [vocabulary[index] for index in self._tagger.tag(image, vocabulary).chosen]

    def _load(self) -> "ISeg":
        if self._model is None:
            if self.job.note:
                print(self.job.note, file=sys.stderr)
            self._model = load_model(self.job)
            if self.job.vocabulary is not None:
                self._tagger = load_tagger(self.job)
        return self._model


def load_model(job: Job) -> "ISeg":
    """The job's model."""
    from iseg.pipeline import ISeg

    settings = job.settings
    return ISeg.from_pretrained(
        settings.model or "tiny", job.recipe, settings.device, settings.dtype, settings.backbone, settings.vae
    )


def load_tagger(job: Job) -> "Tagger":
    """The CLIP that finds the words of a vocabulary."""
    from iseg.tagging import tagger_for

    return tagger_for(job.row.name, job.settings.clip, job.settings.device)


def _failed(item: Item, error: Exception) -> ImageFailed:
    message = str(error) or "not enough memory"
    return ImageFailed(message if message.startswith(str(item.image)) else f"{item.image}: {message}")
