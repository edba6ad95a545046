"""Which model the page uses, and what the page is told of it."""

from collections.abc import Callable
from typing import Any

from iseg.backbones.find import locate
from iseg.backbones.table import BackboneRow, load_row
from iseg.errors import InputError
from iseg.masks import POWER_BORDER
from iseg.page import choices
from iseg.page.settings import UiSettings
from iseg.pipeline import ISeg
from iseg.recipe import Recipe

POWER = round(POWER_BORDER, 3)
BEST = "sd21-base"  # what "auto" means where its weights are at hand

Loader = Callable[[UiSettings], tuple[ISeg, str]]


def load_model(settings: UiSettings) -> tuple[ISeg, str]:
    """The model that the settings ask for, else the fallback; with a notice for people ("" if there is none)."""
    name, notice = settings.model, ""
    if name == "auto":
        name = BEST
        try:
            locate(load_row(name), download=False)
        except InputError:
            notice = (
                f"The weights of {name} are not on this machine: “{settings.fallback}” is used. Get them below, or "
                f"start with --model {name}."
            )
            name = settings.fallback
    try:
        size = settings.size or None
        return ISeg.from_pretrained(name, device=settings.device, dtype=settings.dtype, size=size), notice
    except InputError as error:
        if name == settings.fallback:
            raise
        loaded = ISeg.from_pretrained(settings.fallback, device=settings.device, dtype=settings.dtype)
        return loaded, f"{error} — the embedded model “{settings.fallback}” is used instead."


def described(seg: ISeg, max_iterations: int) -> dict[str, Any]:
    """A loaded model for the page: its name, note, device, the words and limits it has, its own settings."""
    row, recipe = seg.backbone.row, seg.recipe
    return {
        "name": row.name,
        "note": row.note,
        "device": str(seg.backbone.device),
        "words": list(row.words or []),
        "limits": _limits(row),
        "offer": BEST if row.words is not None else "",
        "choices": choices.described(recipe),
        "defaults": {
            "iterations": min(recipe.iterations, max_iterations),
            "threshold": threshold_of(recipe),
            "entropy": min(recipe.entropy, 1.0),
            "enhancement": recipe.enhancement,
            "clean": dict.fromkeys(_cleaning(recipe), True),
        },
    }


def threshold_of(recipe: Recipe) -> float:
    """The threshold with which an object of the page begins."""
    return POWER if recipe.background == "power" else float(recipe.background)


def _cleaning(recipe: Recipe) -> list[str]:
    """The clean-up that a recipe does, by the names of `corrections.Clean`."""
    kept: list[str] = [] if recipe.pieces == "all" else [recipe.pieces]
    return [*kept, "clip"] if recipe.clip_box else kept


def _limits(row: BackboneRow) -> str:
    """What a model with a closed vocabulary cannot do, for a banner that stays; "" for other models."""
    if row.words is None:
        return ""
    return (
        f"The model “{row.name}” knows pictograms of {len(row.words)} things, not photographs: masks of photographs "
        "will be poor. Try it on the example scenes."
    )
