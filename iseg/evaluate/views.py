"""Maps averaged over sizes, mirrored views and noise seeds before the decision, and how far the seeds differ."""

import statistics
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from iseg.evaluate.config import Evaluation, Variant
from iseg.evaluate.dataset_run import Run
from iseg.evaluate.loading import Loaded
from iseg.evaluate.outputs import Outputs
from iseg.evaluate.run import Runner
from iseg.evaluate.score import score_masks
from iseg.files.export import write_json
from iseg.results import Attended
from iseg.solve import conclude_classes, refine_classes
from iseg.views import View, on_grid, read_views, unmirrored


def segment_averaged(run: Run, evaluation: Evaluation, by_image: Mapping[str, list[int]] | None) -> int:
    """Make and score the masks of averaged maps; with several seeds tell the spread. Returns the exit code."""
    made = partial(AveragedRunner, views=evaluation.views, seeds=evaluation.seeds)
    code = run.segment(by_image, make_runner=made)
    if evaluation.seeds > 1 and run.state.is_main_process:
        for _, folder in run.outputs:
            report_spread(run, folder, evaluation.seeds)
    return code


class AveragedRunner(Runner):
    """A runner that averages the refined maps of several passes of an image.

    Args:
        args, options: see `Runner`.
        views: see `read_views`.
        seeds: noise seeds, counted from the model's own. Masks of each alone go to OUT/seeds/K/masks.
    """

    def __init__(self, *args: Any, views: str | None, seeds: int, **options: Any) -> None:
        super().__init__(*args, **options)
        self.views = read_views(views, self.seg.backbone.row)
        self.seeds = seeds

    def _segment_together(self, named: list[Loaded], writer: ThreadPoolExecutor) -> None:
        for one in named:
            self.loader.resize(one)
        for group in self.groups.values():
            alone = [self._passes(named, group, seed) for seed in range(self.seeds)]
            self._finish_writes()
            for place, one in enumerate(named):
                for number, (variant, folder) in enumerate(group):
                    record = alone[0][place][0]
                    steps = [seed[place][1][number] for seed in alone]
                    mean = torch.stack(steps).mean(0)
                    for seed, own in enumerate(steps if self.seeds > 1 else []):
                        result = conclude_classes(own, record, variant.recipe, class_ids=one.class_ids)
                        seed_folder(folder, seed).save(one.item.name, result, self.labels.names(one.class_ids))
                    result = conclude_classes(mean, record, variant.recipe, class_ids=one.class_ids)
                    self._save(one, folder, result, writer)

    def _passes(
        self, named: list[Loaded], group: list[tuple[Variant, Outputs]], seed: int
    ) -> list[tuple[Attended, list[Tensor]]]:
        """For each image a record on the largest grid, and for each variant its maps (N + 1, HW, K) averaged there."""
        records: list[Attended] = []
        totals: list[list[Tensor]] = []
        for view in self.views:
            seen, steps = self._look(named, group, seed, view)
            records = records or seen
            side = records[0].grid_size
            steps = [[on_grid(each, side) for each in image] for image in steps]
            if totals:
                steps = [[a + b for a, b in zip(*pair, strict=True)] for pair in zip(totals, steps, strict=True)]
            totals = steps
        count = len(self.views)
        return [(record, [each / count for each in image]) for record, image in zip(records, totals, strict=True)]

    def _look(
        self, named: list[Loaded], group: list[tuple[Variant, Outputs]], seed: int, view: View
    ) -> tuple[list[Attended], list[list[Tensor]]]:
        """One view of each image: its record, and for each variant the maps (N + 1, HW, K) as the picture lies."""
        words = [[self.labels.classes[index].word for index in one.class_ids] for one in named]
        row = self.seg.backbone.row
        recipes = [row.recipe_at(variant.recipe, view.size) for variant, _ in group]
        recipe, own = group[0][0].recipe, view.size == row.image_size
        squares = [one.squares[recipe.resize] for one in named] if own else None
        seen = self.seg.look([one.image for one in named], words, view, recipe, seed, squares)
        steps = [[refine_classes(record, recipe) for recipe in recipes] for record in seen]
        return seen, [[unmirrored(each) for each in image] for image in steps] if view.mirrored else steps


def seed_folder(folder: Outputs, seed: int) -> Outputs:
    """Where the masks of one seed alone are."""
    return Outputs(folder.folder / "seeds" / str(seed))


def report_spread(run: Run, folder: Outputs, seeds: int) -> None:
    """Print mean and deviation of the seeds' own mIoU, and write OUT/seeds.json."""
    paths = [seed_folder(folder, seed) for seed in range(seeds)]
    items = [item for item in run.items if item.label is not None and all(each.finished(item.name) for each in paths)]
    if not items:
        return
    scores = [score_masks(each.folder / "masks", items, len(run.classes) + 1).confusion.mean_iou() for each in paths]
    mean, deviation = statistics.mean(scores), statistics.stdev(scores)
    content = {"images": len(items), "miou": scores, "mean": mean, "deviation": deviation}
    write_json(Path(folder.folder) / "seeds.json", content)
    print(f"{folder.folder}: each of {seeds} seeds alone: mIoU {100 * mean:.2f} ± {100 * deviation:.2f} "
          f"({', '.join(f'{100 * score:.2f}' for score in scores)}) over {len(items)} images")  # fmt: skip
