"""Answers what Label Studio asks."""

import io
import sys
import threading
from collections import OrderedDict
from typing import Any

from PIL import Image

from iseg import __version__
from iseg.errors import InputError, printable
from iseg.files.images import decoding, read_image
from iseg.integrations.label_studio.images import Images
from iseg.integrations.label_studio.tasks import LabelConfig, read_config, read_marks, segment
from iseg.pipeline import ISeg
from iseg.state import ImageState

KEPT_IMAGES = 4


class Annotator:
    """Answers Label Studio's requests with a model. Threads may share it."""

    def __init__(self, model: ISeg, images: Images) -> None:
        self.model, self.images = model, images
        self.version = f"iseg {__version__} {model.backbone.row.name}"
        self._lock = threading.Lock()
        self._states: OrderedDict[str, ImageState] = OrderedDict()

    def setup(self, request: dict[str, Any]) -> dict[str, Any]:
        """What Label Studio sends when it is connected."""
        self.images.told(request)
        return {"model_version": self.version}

    def predict(self, request: dict[str, Any]) -> dict[str, Any]:
        """Regions for each task: of what was just marked, else a word per label.

        Raises InputError. Where nothing was marked (pre-annotation of many), a task that cannot be done is told of on
        stderr and has no prediction; the others have theirs.
        """
        try:
            config = read_config(request["label_config"])
            marked = ((request.get("params") or {}).get("context") or {}).get("result") or []
            return {"results": [self._task(task, marked, config) for task in request["tasks"]]}
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"the request is not one of Label Studio's: {error!r}") from None

    def _task(self, task: dict[str, Any], marked: list[dict[str, Any]], config: LabelConfig) -> Any:
        """The prediction of a task, or [] for none."""
        try:
            state = self._image(task["data"][config.variable])
            regions = segment(self.model, state, read_marks(marked, config, state.size), config)
        except InputError as error:
            if marked:
                raise
            print(f"task {printable(task.get('id'), 40)}: {printable(error)}", file=sys.stderr, flush=True)
            return []
        score = sum(each["score"] for each in regions) / len(regions) if regions else 0.0
        return {"result": regions, "score": score, "model_version": self.version}

    def _image(self, address: str) -> ImageState:
        """The image at an address, the last few kept with their passes."""
        with self._lock:
            state = self._states.get(address)
        if state is None:
            with decoding(address):
                state = ImageState(read_image(Image.open(io.BytesIO(self.images.fetch(address)))))
        with self._lock:
            state = self._states.setdefault(address, state)  # another thread may have been faster
            self._states.move_to_end(address)
            if len(self._states) > KEPT_IMAGES:
                self._states.popitem(last=False)
        return state
