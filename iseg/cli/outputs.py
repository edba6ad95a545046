"""The files of one image's result."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from iseg import masks
from iseg.backbones.seam import Backbone
from iseg.cli.prompts import Prompt
from iseg.cli.settings import Job
from iseg.cli.sidecar import shares, sidecar
from iseg.data.items import Item
from iseg.files import export, pictures
from iseg.files.animation import write_animation
from iseg.recipe import Recipe
from iseg.results import Segmentation

LONGEST_WORD = 60  # bytes of a class in a file's name


def save_results(
    job: Job, item: Item, prompt: Prompt, image: NDArray[np.uint8], result: Segmentation, backbone: Backbone
) -> Path:
    """Write what the job asks for, all or nothing, and return the path of the first file.

    OUT/NAME.png (mask), NAME.overlay.png, NAME.heat.png, NAME.cutout.png (heat and cutout: NAME.heat.CLASS.png for
    each of several classes), NAME.scores.npz, NAME.coco.json, NAME.panel.png, NAME.animation.webp, NAME.json.
    """
    base = Path(job.settings.out) / item.name
    settings = f"{base.name}.json"
    with export.atomic_files(base.parent, last=settings) as folder:
        written = _write(job, item, prompt, image, result, folder / base.name)
        files = [path.name for path in written]
        export.write_json(folder / settings, sidecar(job, item, prompt, result, backbone, files))
    return base.parent / files[0]


def longest_ending(save: list[str]) -> int:
    """The most bytes that the endings of a job's files may have, that of the settings included."""
    endings = {"mask": ".png", "scores": ".scores.npz", "coco": ".coco.json", "animation": ".animation.webp"}
    word = "." + "x" * LONGEST_WORD + "_255"
    several = {kind: f".{kind}{word if kind in ('heat', 'cutout') else ''}.png" for kind in save}
    return max(len(ending) for ending in [".json", *({**several, **endings}[kind] for kind in save)])


def _write(
    job: Job, item: Item, prompt: Prompt, image: NDArray[np.uint8], result: Segmentation, base: Path
) -> list[Path]:
    written = []

    def path(ending: str) -> Path:
        written.append(base.with_name(f"{base.name}.{ending}"))
        return written[-1]

    for kind in job.save:
        if kind == "mask":
            export.write_mask(path("png"), result.mask, export.voc_palette())
        elif kind == "overlay":
            export.write_image(path("overlay.png"), pictures.overlay(image, result.mask))
        elif kind == "heat":
            for name, scores in zip(_endings(result.names), result.each_score(), strict=True):
                export.write_image(path(f"heat{name}.png"), pictures.heat_map(scores, image))
        elif kind == "cutout":
            for k, name in enumerate(_endings(result.names)):
                export.write_image(path(f"cutout{name}.png"), export.cutout(image, result.mask == k + 1))
        elif kind == "scores":
            export.write_scores(path("scores.npz"), result.each_score(), result.names, result.mask.shape)
        elif kind == "coco":
            content = export.coco_json(result.mask, result.names, item.image.name, result.each_score())
            export.write_json(path("coco.json"), content)
        elif kind == "panel":
            page = pictures.panel(image, result.seeds, result.maps, result.mask, result.names, prompt.marks)
            export.write_image(path("panel.png"), page)
        else:
            frames = _frames(image, result, job.recipe)
            write_animation(path(f"animation.{job.settings.animation}"), frames)
    return written


def describe(result: Segmentation) -> str:
    """ "cat 31.2 %, sofa 0.0 %": the share of the image that each class takes."""
    return ", ".join(f"{name} {share:.1%}".replace("%", " %") for name, share in shares(result)) or "nothing was found"


def _endings(names: list[str]) -> list[str]:
    """What sets the files of several classes apart: ".potted_plant"; nothing for one class."""
    if len(names) == 1:
        return [""]
    words = [re.sub(r"\W+", "_", name).encode()[:LONGEST_WORD].decode(errors="ignore") for name in names]
    return [f".{word}" if words.count(word) == 1 else f".{word}_{k}" for k, word in enumerate(words, 1)]


def _frames(image: NDArray[np.uint8], result: Segmentation, recipe: Recipe) -> list[Any]:
    assert result.trajectory is not None  # asked for whenever an animation is to be saved
    steps = [*list(_step_masks(result.trajectory, image.shape[:2], recipe))[:-1], result.mask]
    return pictures.refinement_frames(image, result.trajectory, steps, result.names)


def _step_masks(trajectory: NDArray[np.float32], size: tuple[int, ...], recipe: Recipe) -> Iterator[NDArray[np.uint8]]:
    """The label map (H, W) after each iteration, decided on the maps alone; the last frame shows the result's own."""
    for maps in trajectory:
        columns, ids = torch.from_numpy(maps).flatten(1).T, range(1, len(maps) + 1)  # (HW, K)
        yield masks.decide(columns, (size[0], size[1]), ids, recipe.background, recipe.working_size).numpy()
