"""Training-free segmentation from the attention maps of a text-to-image diffusion model (iSeg, arXiv 2409.03209)."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from iseg.errors import InputError
    from iseg.pipeline import ISeg
    from iseg.prompt import ClassWord
    from iseg.recipe import Recipe
    from iseg.results import Segmentation

__version__ = "0.1.0"
__all__ = ["ClassWord", "ISeg", "InputError", "Recipe", "Segmentation", "__version__"]

_HOMES = {
    "ClassWord": "iseg.prompt",
    "ISeg": "iseg.pipeline",
    "InputError": "iseg.errors",
    "Recipe": "iseg.recipe",
    "Segmentation": "iseg.results",
}
_MODULES = ("cluster", "cross", "masks", "prompt", "refine", "seeds")  # the pure steps


def __getattr__(name: str) -> Any:
    """Public names are imported when first used, so that `iseg --help` need not wait for torch."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name in _MODULES:
        return import_module(f"iseg.{name}")
    raise AttributeError(f"module 'iseg' has no attribute {name!r}")
