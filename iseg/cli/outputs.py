"""The files of one image's result."""

import re
from collections.abc import Iterator
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from iseg import __version__, masks
from iseg.backbones.seam import Backbone
from iseg.cli.settings import Job
from iseg.data.items import Item
from iseg.files import export, pictures
from iseg.recipe import Recipe
from iseg.results import Segmentation


def save_results(
    job: Job, item: Item, image: NDArray[np.uint8], result: Segmentation, backbone: Backbone
) -> list[Path]:
    """Write what the job asks for and return the paths; the settings come last, so where they are all is there.

    OUT/NAME.png (mask), NAME.overlay.png, NAME.heat.png, NAME.cutout.png (heat and cutout: NAME.heat.CLASS.png for
    each of several classes), NAME.scores.npz, NAME.coco.json, NAME.panel.png, NAME.animation.webp, NAME.json.
    """
    base = Path(job.settings.out) / item.name
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
            page = pictures.panel(image, result.seeds, result.maps, result.mask, result.names, job.marks)
            export.write_image(path("panel.png"), page)
        else:
            frames = _frames(image, result, job.recipe)
            export.write_animation(path(f"animation.{job.settings.animation}"), frames)
    export.write_json(path("json"), _sidecar(job, item, result, backbone))
    return written


def describe(result: Segmentation) -> str:
    """ "cat 31.2 %, sofa 0.0 %": the share of the image that each class takes."""
    return ", ".join(f"{name} {share:.1%}".replace("%", " %") for name, share in _shares(result))


def _shares(result: Segmentation) -> list[tuple[str, float]]:
    return [(name, float((result.mask == k + 1).mean())) for k, name in enumerate(result.names)]


def _endings(names: list[str]) -> list[str]:
    """What sets the files of several classes apart: ".potted_plant"; nothing for one class."""
    if len(names) == 1:
        return [""]
    words = [re.sub(r"\W+", "_", name)[:60] for name in names]
    return [f".{word}" if words.count(word) == 1 else f".{word}_{k}" for k, word in enumerate(words, 1)]


def _frames(image: NDArray[np.uint8], result: Segmentation, recipe: Recipe) -> list[Any]:
    assert result.trajectory is not None  # asked for whenever an animation is to be saved
    steps = list(_step_masks(result.trajectory, image.shape[:2], recipe))
    return pictures.refinement_frames(image, result.trajectory, steps, result.names)


def _step_masks(trajectory: NDArray[np.float32], size: tuple[int, ...], recipe: Recipe) -> Iterator[NDArray[np.uint8]]:
    """The label map (H, W) after each iteration, decided like the result's own."""
    for maps in trajectory:
        columns, ids = torch.from_numpy(maps).flatten(1).T, range(1, len(maps) + 1)  # (HW, K)
        yield masks.decide(columns, (size[0], size[1]), ids, recipe.background, recipe.working_size).numpy()


def _asked(job: Job, result: Segmentation) -> dict[str, Any]:
    """The prompt, with the passes that its classes were split over if one was too short for them."""
    if job.classes is None and job.vocabulary is None:
        marks = job.marks
        given = {"points": marks.points, "negative": marks.negative, "line": [*chain(*marks.lines)]}
        return {key: value for key, value in {**given, "box": [*chain(*marks.boxes)]}.items() if value}
    asked: dict[str, Any] = {"vocabulary": job.vocabulary} if job.classes is None else {}
    asked["classes"] = result.names
    return asked if len(result.groups) < 2 else asked | {"passes": result.groups}


def _sidecar(job: Job, item: Item, result: Segmentation, backbone: Backbone) -> dict[str, Any]:
    height, width = result.mask.shape
    return {
        "iseg": __version__,
        "image": {"file": str(item.image), "width": width, "height": height},
        "classes": [
            {"label": k, "name": name, "share": round(share, 6)} for k, (name, share) in enumerate(_shares(result), 1)
        ],
        "prompt": _asked(job, result),
        "model": {
            "name": job.settings.model,
            "backbone": backbone.row.name,
            "source": backbone.source,
            "device": str(backbone.device),
            "dtype": str(backbone.dtype).removeprefix("torch."),
            "timestep": backbone.row.timestep,
            "noise_seed": backbone.row.noise_seed,
        },
        "settings": asdict(job.recipe),
    }
