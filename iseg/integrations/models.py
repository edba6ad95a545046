"""The model that an integration runs, chosen as `iseg segment` chooses it."""

from iseg.cli.settings import choose_model
from iseg.pipeline import ISeg


def load_model(model: str | None = None, recipe: str | None = None, device: str = "auto", dtype: str = "auto") -> ISeg:
    """A model by name, folder, file or hub id; None: sd21-base if its weights are at hand, else tiny.

    The other arguments are those of `ISeg.from_pretrained`. Raises InputError for what cannot be used.
    """
    return ISeg.from_pretrained(choose_model(model)[0], recipe, device, dtype)
