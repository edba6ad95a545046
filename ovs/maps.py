"""Open-vocabulary segmentation without labels: maps of all classes by CLIP, alone or joined with cross-attention."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from iseg.clip_maps.joined import find_joined
from iseg.clip_maps.segment import find_by_clip
from iseg.clip_maps.source import ClipSource
from iseg.evaluate.dataset_run import Run
from iseg.evaluate.loading import Loaded
from iseg.evaluate.records import read_record
from iseg.evaluate.run import Runner
from iseg.files.export import write_json
from iseg.state import ImageState
from ovs.labels import save_quality
from ovs.settings import OpenVocabulary, clip_words

PRESENCE = "presence"


class MapsRunner(Runner):
    """Makes masks by CLIP's maps, and OUT/presence/NAME.json: the classes found alive and the scores of all.

    Every image is asked for every class. Attributes set after construction: `settings`, and `source`.
    """

    settings: OpenVocabulary
    source: ClipSource

    def _segment_together(self, loaded: list[Loaded], writer: ThreadPoolExecutor) -> None:
        """One image after another: each looks for other classes, so that passes cannot be shared."""
        settings = self.settings.clip_maps
        classes = list(self.labels.classes.values())
        ids, told = [entry.id for entry in classes], clip_words(settings.names, classes, "clip_maps.names")
        for one in loaded:
            state = ImageState(one.image)
            coarse = self.source.maps(one.image, told)
            for variant, folder in self.outputs:
                if self.settings.maps == "joined":
                    words = [entry.word for entry in classes]
                    found = find_joined(self.seg, state, coarse, words, settings, variant.recipe, ids)
                else:
                    names = [entry.name for entry in classes]
                    found = find_by_clip(self.seg, state, coarse, names, settings, variant.recipe, ids)
                alive = [ids[index] for index in found.alive]
                content = {"alive": self.labels.names(alive), "scores": found.scores}
                write_json(folder.folder / PRESENCE / f"{one.item.name}.json", content)
                self._finish_writes()
                self._save(one, folder, found.result, writer, self.labels.names(alive))


def segment_by_maps(settings: OpenVocabulary, run: Run) -> tuple[int, dict[str, Any] | None]:
    """Make the masks that are missing, score them all. Returns the exit code and the quality of presence, if known.

    Raises InputError for a CLIP that cannot be had and for words that it does not know.
    """

    def make_runner(*arguments: Any) -> MapsRunner:
        runner = MapsRunner(*arguments)
        runner.settings = settings
        runner.source = ClipSource.from_pretrained(settings.clip_maps, device=run.device)
        runner.source.texts(clip_words(settings.clip_maps.names, run.classes, "clip_maps.names"))
        return runner

    every = [entry.id for entry in run.classes]
    code = run.segment({item.name: every for item in run.items}, make_runner=make_runner)
    whole = settings.part is None and run.state.is_main_process
    return code, measure_presence(settings, run) if whole else None


def measure_presence(settings: OpenVocabulary, run: Run) -> dict[str, Any] | None:
    """Quality of OUT/presence where truth exists, written to OUT/presence_quality.json; None without any."""
    folder = run.outputs[-1][1].folder
    saved = {}
    for item in run.items:
        path = folder / PRESENCE / f"{item.name}.json"
        if item.label is not None and path.is_file():
            what = "the presence of an image: remove it and its mask"
            saved[item.name] = read_record(path, {"alive": list, "scores": list}, what)
    if not saved:
        return None
    items = [item for item in run.items if item.name in saved]
    chosen = {name: content["alive"] for name, content in saved.items()}
    scores = {name: content["scores"] for name, content in saved.items()}
    return save_quality(folder / "presence_quality.json", items, run.classes, chosen, scores)
