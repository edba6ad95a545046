"""`iseg segment`: images and folders -> masks and pictures of them."""

import sys
import traceback
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from iseg.cli.inputs import list_items
from iseg.cli.prompts import Prompt
from iseg.cli.say import say
from iseg.cli.settings import Job, read_job
from iseg.cli.stop import Stop
from iseg.data.items import Item
from iseg.errors import InputError, printable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from iseg.cli.folder import Record
    from iseg.clip_maps import ClipSource
    from iseg.pipeline import ISeg
    from iseg.results import Segmentation
    from iseg.tagging import Tagger

FAILED, TERMINATED = 1, 143
LONG = 3  # from so many images on, a terminal shows how far the work is
MOST_IN_A_ROW = 10  # images that fail one after another for no fault of theirs: the next will too
LOG = "error.log"


class ImageFailed(Exception):
    """One image could not be segmented; the others can.

    Attributes:
        own: whether it is the image's fault; else the disk's, the device's or the code's.
    """

    def __init__(self, message: str, own: bool = True) -> None:
        super().__init__(message)
        self.own = own


def run(arguments: list[str]) -> int:
    """Segment everything asked for and return the exit code: 0, 1 if some image failed, 143 after SIGTERM.

    InputError for bad usage.
    """
    if "--everything" in arguments:
        from iseg.cli import everything

        return everything.run(arguments)
    job = read_job(arguments)
    from iseg.cli.folder import Record, find_done, write_summary
    from iseg.cli.outputs import longest_ending

    items = list_items(job.images, Path(job.settings.out), longest_ending(job.save))
    several = len(items) > 1 or any(Path(given).is_dir() for given in job.images)
    resume = several if job.settings.resume is None else job.settings.resume
    done = find_done(job, items) if resume else set()
    if done:
        say(f"{len(done)} of {len(items)} images were segmented before with the same settings: they are kept")
    record = Record(kept=[item.name for item in items if item.name in done])
    with Stop().listening() as stop:
        try:
            _each(Worker(job, stop), [item for item in items if item.name not in done], record, stop)
        except KeyboardInterrupt:
            record.stopped = "interrupted"
            raise
        finally:
            if several and (record.done or record.failed or record.kept):
                write_summary(job, items, record)
    if several:
        _sum_up(job, items, record)
    if stop.asked:
        return TERMINATED
    return FAILED if record.failed or record.stopped else 0


def _each(worker: "Worker", items: list[Item], record: "Record", stop: Stop) -> None:
    """Segment images one after another and note what becomes of them."""
    in_a_row = 0
    with tqdm(items, unit="image", disable=len(items) < LONG or not sys.stderr.isatty()) as bar:
        for item in bar:
            if stop.asked:
                record.stopped = "terminated"
                say("terminated: the image at hand was finished", error=True)
                break
            try:
                line = worker.segment(item)
            except ImageFailed as error:
                record.failed[item.name] = printable(error)
                say(f"error: {error}", error=True)
                in_a_row = 0 if error.own else in_a_row + 1
                if in_a_row == MOST_IN_A_ROW:
                    record.stopped = f"{MOST_IN_A_ROW} images in a row failed for no fault of theirs"
                    break
            else:
                in_a_row = 0
                record.done.append(item.name)
                say(line)


def _sum_up(job: Job, items: list[Item], record: "Record") -> None:
    finished = len(record.done) + len(record.kept)
    if record.stopped:
        say(f"stopped: {record.stopped}; the same command goes on from here")
    if finished == len(items):
        say(f"{finished} images done: results are in {job.settings.out}")
    else:
        say(f"{finished} of {len(items)} images done, {len(record.failed)} failed: results are in {job.settings.out}")
    for reason in record.failed.values():
        say(f"  {reason}")
    if job.note:
        say(f"note: {job.note}")


class Worker:
    """Segments images one by one; the model is loaded when the first image has been read."""

    def __init__(self, job: Job, stop: Stop | None = None) -> None:
        self.job = job
        self._stop = stop
        self._model: ISeg | None = None
        self._tagger: Tagger | None = None
        self._source: ClipSource | None = None

    def segment(self, item: Item) -> str:
        """Read, segment and save one image and return a line about it.

        Raises ImageFailed for what is wrong with this image, InputError for what would stop every other image too.
        """
        from iseg.files.images import read_image

        try:
            image = read_image(item.image)
            prompt = self.job.prompt_for(item.image)
            mask = prompt.check((image.shape[0], image.shape[1]))
        except (InputError, OSError, MemoryError) as error:
            raise _failed(item, error) from None
        model = self._load()
        try:
            return self._segment(model, item, prompt, image, mask)
        except ImageFailed:
            raise
        except InputError as error:
            raise _failed(item, error) from None
        except MemoryError as error:
            raise ImageFailed(f"{item.image}: not enough memory: try --device cpu or a smaller image") from error
        except Exception as error:
            raise self._unexpected(item, error) from error

    def _segment(
        self, model: "ISeg", item: Item, prompt: Prompt, image: "NDArray[np.uint8]", mask: "NDArray[np.bool_] | None"
    ) -> str:
        from iseg.cli.outputs import describe, save_results

        result = self._result(model, item, prompt, image, mask)
        with self._stop.writing() if self._stop else nullcontext():
            try:
                first = save_results(self.job, item, prompt, image, result, model.backbone)
            except InputError as error:
                raise ImageFailed(str(error), own=False) from None
        return f"{item.image} -> {first}: {describe(result)}"

    def _result(
        self, model: "ISeg", item: Item, prompt: Prompt, image: "NDArray[np.uint8]", mask: "NDArray[np.bool_] | None"
    ) -> "Segmentation":
        import torch

        asked: dict[str, Any] = prompt.arguments()
        try:
            if self._source is not None:
                return self._by_maps(model, self._source, image)
            model.set_image(image)
            if prompt.vocabulary is not None:
                asked["classes"] = self._words_in(image)
            return model.segment(**asked, mask=mask, trajectory="animation" in self.job.save)
        except torch.cuda.OutOfMemoryError as error:
            raise ImageFailed(f"{item.image}: not enough memory: try --device cpu or a smaller image") from error

    def _by_maps(self, model: "ISeg", source: "ClipSource", image: "NDArray[np.uint8]") -> "Segmentation":
        """The words of the vocabulary that CLIP's maps find in an image."""
        from iseg.clip_maps import segment_words

        return segment_words(model, source, image, self.job.vocabulary or [], self.job.settings.maps).result

    def _unexpected(self, item: Item, error: Exception) -> ImageFailed:
        """An error of the code or the device: its trace goes to a file."""
        from iseg.files.export import write_bytes

        path = Path(self.job.settings.out) / LOG
        try:
            write_bytes(path, traceback.format_exc().encode(errors="backslashreplace"))
            where = f"the trace is in {path}"
        except InputError as unwritten:
            where = f"its trace could not be kept: {unwritten}"
        kind = type(error).__name__
        return ImageFailed(f"{item.image}: {kind}: {printable(error, 160)}; {where}; please report it", own=False)

    def _words_in(self, image: "NDArray[np.uint8]") -> list[str] | None:
        """The words of the vocabulary that CLIP finds in an image; None if no vocabulary was given."""
        vocabulary = self.job.vocabulary
        if vocabulary is None or self._tagger is None:
            return None
        return [vocabulary[index] for index in self._tagger.tag(image, vocabulary).chosen]

    def _load(self) -> "ISeg":
        if self._model is None:
            if self.job.note:
                say(self.job.note, error=True)
            self._model = load_model(self.job)
            if self.job.settings.maps != "cross":
                self._source = load_source(self.job)
            elif self.job.vocabulary is not None:
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


def load_source(job: Job) -> "ClipSource":
    """The CLIP whose maps are segmented. Raises InputError for words that it does not know."""
    from iseg.cli.prompts import parse_classes
    from iseg.clip_maps import source_for

    given = job.settings.background_words
    background = None if given is None else parse_classes(given, "--background_words")
    source = source_for(job.row.name, job.settings.clip, background, job.settings.device)
    source.texts(job.vocabulary or [])
    return source


def _failed(item: Item, error: Exception) -> ImageFailed:
    message = str(error) or "not enough memory"
    return ImageFailed(message if message.startswith(str(item.image)) else f"{item.image}: {message}")
