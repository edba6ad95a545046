"""What the page can ask of the server: plain mappings in, plain mappings out, errors as text."""

import base64
import hashlib
from collections.abc import Callable, Iterator

import numpy as np

from iseg.files import pictures
from iseg.page import exports
from iseg.page.annotate import Categories
from iseg.page.answers import Answer, Request, answered
from iseg.page.decision import Step
from iseg.page.downloads import Downloads
from iseg.page.engine import Engine
from iseg.page.everything import packed
from iseg.page.folder_api import FolderApi
from iseg.page.image_api import ImageApi
from iseg.page.objects import parse_object, parse_objects
from iseg.page.parse import number, text
from iseg.page.people import People, valid_token
from iseg.page.saving import Saving
from iseg.page.settings import MEGA, UiSettings
from iseg.page.sureness import Sureness
from iseg.page.uploads import FORMATS, view_size
from iseg.page.weights import Weights

MAX_SLOT = 100_000


class Api:
    """The page's requests. Every public method takes one mapping with the page's token and returns one mapping."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.people = People()
        self.downloads = Downloads()
        self.saving = Saving(engine, self.downloads)
        self.sureness = Sureness()
        self.images = ImageApi(engine, self.people)
        self.weights = Weights(engine)
        self.folder = FolderApi(self.settings, engine, self.people, self.saving, self.sureness, self.images.open_image)

    @property
    def settings(self) -> UiSettings:
        """The page's settings."""
        return self.engine.settings

    def close(self) -> None:
        """Remove what was written for fetching; end what is being got."""
        self.weights.close()
        self.downloads.close()

    def functions(self) -> list[Callable[[Request], Answer]]:
        """The requests as functions that never raise: {"ok": True, ...} or {"ok": False, "error", "code"}."""
        own = (self.hello, self.status, self.prepare, self.solve, self.everything, self.export, self.cancel)
        parts = (self.images, self.folder, self.weights)
        return [answered(each) for each in (*own, *(each for part in parts for each in part.requests()))]

    def hello(self, request: Request) -> Answer:
        """Limits, the colours of heat maps (256 RGB triples in base64), the folder, and the model's state."""
        settings = self.settings
        return {
            "max_iterations": settings.max_iterations,
            "max_objects": settings.max_objects,
            "max_upload": int(settings.max_upload_mb * MEGA),
            "formats": list(FORMATS),
            "heat": base64.b64encode(pictures.heat_map(np.arange(256)[None] / 255).tobytes()).decode(),
            "folder": self.folder.describe(),
            "classes": self.folder.classes,
            **self.status(request),
        }

    def status(self, request: Request) -> Answer:
        """The model's state, and what it is doing."""
        stage = self.saving.doing(str(request.get("token", ""))) or self.engine.stage
        return {
            "model": self.engine.describe(),
            "stage": stage,
            "sweep": self.folder.sweep.state(),
            "weights": self.weights.state(),
        }

    def prepare(self, request: Request) -> Answer:
        """Run the pass of an `image` that all marks share."""
        token, name = self.images.owned(request)
        return self.engine.prepare(name, self.people.begin(token, "prepare"))

    def solve(self, request: Request) -> Answer:
        """The maps of one `object` of an `image`: float32 (N + 1, K, g, g) in base64, or its score; see `solved.told`.

        A later request in the same `slot` takes the place of an earlier one. With words alone also its `phrases` and,
        where it can be told, for each whether the image holds it (`found`). With `only_last` N = 0: the maps after the
        object's own iterations alone, which is all that a preview needs.
        """
        token, name = self.images.owned(request)
        wanted = parse_object(request.get("object"), self.settings)
        slot = hashlib.sha256(text(request.get("slot", ""), "slot", MAX_SLOT).encode()).hexdigest()
        only_last = request.get("only_last") is True
        answer: Answer = self.engine.solved(name, wanted, self.people.begin(token, f"solve {slot}"), only_last)
        if wanted.words and not wanted.marks:
            backbone = self.engine.seg.backbone
            image, phrases = self.engine.image(name), wanted.words.phrases
            found = self.sureness.found(image, phrases, backbone.row, str(backbone.device))
            answer |= {"phrases": list(phrases), "found": found}
        return answer

    def everything(self, request: Request) -> Answer:
        """The regions without words of an `image` at `coarse`, 0 (many) to 1 (few); see `everything.packed`."""
        token, name = self.images.owned(request)
        coarse = number(request.get("coarse"), "coarse", 0, 1)
        found = self.engine.everything(name, coarse, self.people.begin(token, "everything"))
        return packed(found, view_size(found.labels.shape, self.settings.view_size))

    def export(self, request: Request) -> Answer:
        """Write an export `kind` of the `objects` of an `image`; the answer says under which `key` it waits."""
        token, image = self.images.owned(request)
        objects = parse_objects(request.get("objects"), self.settings)
        opacity = number(request.get("opacity", 0.5), "opacity", 0, 1)
        kind = exports.check_kind(text(request.get("kind"), "kind", 20), exports.KINDS)
        check = self.people.begin(token, "export")
        title = self.people.name_of(token, image)

        def items(step: Step) -> Iterator[exports.Exported]:
            yield self.saving.item(image, title, objects, step)

        return self.saving.write(token, check, kind, title, Categories(self.folder.fixed), opacity, items)

    def cancel(self, request: Request) -> Answer:
        """Stop this person's export."""
        self.people.begin(valid_token(request.get("token")), "export")
        return {}
