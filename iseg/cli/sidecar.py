"""The settings that lie beside a result, and whether a result that is there has those of now."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from iseg import __version__
from iseg.backbones.digests import weights_digest
from iseg.backbones.find import locate
from iseg.backbones.load import holds_half, pick_device, pick_dtype
from iseg.backbones.seam import Backbone
from iseg.cli.prompts import Prompt
from iseg.cli.settings import Job
from iseg.data.items import Item
from iseg.errors import InputError
from iseg.results import Segmentation


def sidecar(job: Job, item: Item, prompt: Prompt, result: Segmentation, backbone: Backbone, files: list[str]) -> Any:
    """What OUT/NAME.json holds; `files` are the names of the results beside it."""
    height, width = result.mask.shape
    decides = deciding(job, prompt)
    model: dict[str, Any] = {
        **decides["model"],
        "backbone": backbone.row.name,
        "source": backbone.source,
        "weights": weights_digest(Path(backbone.source), holds_half(decides["model"]["dtype"])),
        "device": str(backbone.device),
        "timestep": backbone.row.timestep,
        "noise_seed": backbone.row.noise_seed,
    }
    if job.note:
        model["notice"] = job.note
    content = {
        "iseg": __version__,
        "image": {"file": str(item.image), "width": width, "height": height, **file_state(item.image)},
        "classes": [
            {"label": k, "name": name, "share": round(share, 6)} for k, (name, share) in enumerate(shares(result), 1)
        ],
        "prompt": _asked(prompt, result),
        "model": model,
        "settings": decides["settings"],
        "files": files,
    }
    return content


def deciding(job: Job, prompt: Prompt) -> dict[str, Any]:
    """The settings that decide a result, as plain values."""
    settings = job.settings
    model = {
        "name": settings.model,
        "backbone": job.row.name,
        "vae": settings.vae,
        "size": settings.size,
        "clip": settings.clip,
        "maps": None if settings.maps == "cross" else settings.maps,
        "background_words": settings.background_words,
        "dtype": pick_dtype(settings.dtype, pick_device(settings.device), job.row.cpu_dtype),
    }
    return json.loads(json.dumps({"prompt": prompt.described(), "model": model, "settings": asdict(job.recipe)}))


def weights_now(job: Job) -> dict[str, str] | None:
    """SHA-256 of the parts of the job's model, most often remembered; None where they are not at hand yet."""
    settings = job.settings
    half = holds_half(pick_dtype(settings.dtype, pick_device(settings.device), job.row.cpu_dtype))
    try:
        return weights_digest(locate(job.row, download=False, half=half), half)
    except InputError:
        return None


def saved_deciding(content: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that decided a result, out of its sidecar; what a sidecar of an earlier version lacks is None."""
    asked = {key: value for key, value in _mapping(content, "prompt").items() if key != "passes"}
    if "vocabulary" in asked:
        asked.pop("classes", None)  # those that were found
    model = _mapping(content, "model")
    keys = ("name", "backbone", "vae", "size", "clip", "maps", "background_words", "dtype")
    return {"prompt": asked, "model": {key: model.get(key) for key in keys}, "settings": _mapping(content, "settings")}


def file_state(path: Path) -> dict[str, int]:
    """What tells that an image has not changed: its bytes and time of change in nanoseconds."""
    state = path.stat()
    return {"bytes": state.st_size, "modified": state.st_mtime_ns}


def shares(result: Segmentation) -> list[tuple[str, float]]:
    """The share of the image that each class takes."""
    return [(name, float((result.mask == k + 1).mean())) for k, name in enumerate(result.names)]


def _asked(prompt: Prompt, result: Segmentation) -> dict[str, Any]:
    """The prompt, with the passes that its classes were split over if one was too short for them."""
    asked = prompt.described()
    if prompt.words:
        asked["classes"] = result.names
    return asked if len(result.groups) < 2 else asked | {"passes": result.groups}


def _mapping(content: Any, key: str) -> dict[str, Any]:
    value = content.get(key) if isinstance(content, Mapping) else None
    return value if isinstance(value, dict) else {}
