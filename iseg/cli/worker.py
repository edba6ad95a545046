"""One image at a time: read, segmented, saved; what is wrong with it is its own."""

from collections.abc import Sequence
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

    Asked = tuple[str, NDArray[np.uint8], Prompt, NDArray[np.bool_] | None]  # name, image, prompt and its rough mask


class ImageFailed(Exception):
    """One image could not be segmented; the others can.

    Attributes:
        own: whether it is the image's fault; else the disk's, the device's or the code's.
    """

    def __init__(self, message: str, own: bool = True) -> None:
        super().__init__(message)
        self.own = own


class Worker:
    """A worker (`iseg.work.worker`) for the settings of `iseg segment` and `iseg label`, one image after another.

    The model is loaded when the first image has been read.

    Args:
        job: the settings.
        stop: what signals ask for.
        log: where traces of errors of the code go; None: nowhere.
    """

    def __init__(self, job: Job, stop: Stop | None = None, log: Path | None = None) -> None:
        from iseg.work.worker import Worker as Segmenter

        self.job = job
        self._stop = stop
        self._log = log
        self._segmenter: Segmenter[Asked, Segmentation] = Segmenter(self._load, self._make)
        self._tagger: Tagger | None = None
        self._source: ClipSource | None = None

    def segment(self, item: Item) -> str:
        """Read, segment and save one image and return a line about it.

        Raises ImageFailed for what is wrong with this image, InputError for what would stop every other image too.
        """
        from iseg.cli.outputs import describe, save_results
        from iseg.files.images import read_image
        from iseg.work.trouble import Failure, read_or_failure

        read = read_or_failure(lambda: (read_image(item.image), self.job.prompt_for(item.image)))
        if isinstance(read, Failure):
            raise ImageFailed(read.of(str(item.image)))
        image, prompt = read
        result = self.result(str(item.image), image, prompt)
        with self._stop.writing() if self._stop else nullcontext():
            try:
                first = save_results(self.job, item, prompt, image, result, self._segmenter.model.backbone)
            except InputError as error:
                raise ImageFailed(str(error), own=False) from None
        return f"{item.image} -> {first}: {describe(result)}"

    def result(self, name: str, image: "NDArray[np.uint8]", prompt: Prompt) -> "Segmentation":
        """Segment an image (H, W, 3) of this name.

        Raises ImageFailed for what is wrong with this image, InputError for what would stop every other image too.
        """
        from iseg.work.trouble import Failure, read_or_failure

        mask = read_or_failure(lambda: prompt.check((image.shape[0], image.shape[1])))
        if isinstance(mask, Failure):
            raise ImageFailed(mask.of(name))
        _ = self._segmenter.model  # what is wrong with it is no image's trouble
        try:
            ((_, made),) = self._segmenter.each([(name, image, prompt, mask)])
        except Exception as error:  # a data-set run ends here; of a folder or a stream the next image may do
            raise self._unexpected(name, error) from error
        if isinstance(made, Failure):
            raise ImageFailed(
                f"{name}: not enough memory: try --device cpu or a smaller image" if made.memory else made.of(name)
            )
        return made

    def _make(self, model: "ISeg", images: "Sequence[Asked]") -> "list[Segmentation]":
        return [self._result(model, *asked) for asked in images]

    def _result(
        self, model: "ISeg", name: str, image: "NDArray[np.uint8]", prompt: Prompt, mask: "NDArray[np.bool_] | None"
    ) -> "Segmentation":
        asked: dict[str, Any] = prompt.arguments()
        if self._source is not None:
            return self._by_maps(model, self._source, image)
        model.set_image(image)
        if prompt.vocabulary is not None:
            asked["classes"] = self._words_in(image)
        return model.segment(**asked, mask=mask, trajectory="animation" in self.job.save)

    def _by_maps(self, model: "ISeg", source: "ClipSource", image: "NDArray[np.uint8]") -> "Segmentation":
        """The words of the vocabulary that CLIP's maps find in an image."""
        from iseg.clip_maps import segment_words

        return segment_words(model, source, image, self.job.vocabulary or [], self.job.settings.maps).result

    def _unexpected(self, name: str, error: Exception) -> ImageFailed:
        """An error of the code or the device: its trace goes to a file."""
        from iseg.work.trouble import keep_trace

        where = "its trace is not kept"
        if self._log is not None:
            try:
                keep_trace(self._log)
                where = f"the trace is in {self._log}"
            except InputError as unwritten:
                where = f"its trace could not be kept: {unwritten}"
        kind = type(error).__name__
        return ImageFailed(f"{name}: {kind}: {printable(error, 160)}; {where}; please report it", own=False)

    def _words_in(self, image: "NDArray[np.uint8]") -> list[str] | None:
        """The words of the vocabulary that CLIP finds in an image; None if no vocabulary was given."""
        vocabulary = self.job.vocabulary
        if vocabulary is None or self._tagger is None:
            return None
        return [vocabulary[index] for index in self._tagger.tag(image, vocabulary).chosen]

    def _load(self) -> "ISeg":
        if self.job.note:
            say(self.job.note, error=True)
        model = load_model(self.job)
        if self.job.settings.maps != "cross":
            self._source = load_source(self.job)
        elif self.job.vocabulary is not None:
            self._tagger = load_tagger(self.job)
        return model


def load_model(job: Job) -> "ISeg":
    """The job's model."""
    from iseg.pipeline import ISeg

    settings = job.settings
    model = settings.model or "tiny"
    return ISeg.from_pretrained(
        model, job.recipe, settings.device, settings.dtype, settings.backbone, settings.vae, settings.size
    )


def load_tagger(job: Job) -> "Tagger":
    """The CLIP that finds the words of a vocabulary."""
    from iseg.tagging import tagger_for

    return tagger_for(job.row.name, job.settings.clip, job.settings.device)
