"""One image at a time: read, segmented, saved; what is wrong with it is its own."""

import traceback
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iseg.cli.maps import load_source
from iseg.cli.prompts import Prompt
from iseg.cli.say import say
from iseg.cli.settings import Job
from iseg.cli.stop import Stop
from iseg.data.items import Item
from iseg.errors import InputError, printable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from iseg.clip_maps import ClipSource
    from iseg.pipeline import ISeg
    from iseg.results import Segmentation
    from iseg.tagging import Tagger

LOG = "error.log"


class ImageFailed(Exception):
    """One image could not be segmented; the others can.

    Attributes:
        own: whether it is the image's fault; else the disk's, the device's or the code's.
    """

    def __init__(self, message: str, own: bool = True) -> None:
        super().__init__(message)
        self.own = own


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


def _failed(item: Item, error: Exception) -> ImageFailed:
    message = str(error) or "not enough memory"
    return ImageFailed(message if message.startswith(str(item.image)) else f"{item.image}: {message}")
