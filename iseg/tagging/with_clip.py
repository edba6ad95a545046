"""What the two uses of CLIP share: settings that name their CLIP, and text features of the last few vocabularies."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from iseg.tagging.load import load_clip

if TYPE_CHECKING:
    from transformers import CLIPModel, PreTrainedTokenizerBase

Settings = TypeVar("Settings", bound=Any)  # a dataclass with a field `model`
Value = TypeVar("Value")

KEPT_TEXTS = 8


def load_with_settings(
    settings: Settings | str, read: Callable[[str], Settings], model: str | None, device: str | torch.device
) -> tuple["CLIPModel", "PreTrainedTokenizerBase", Settings]:
    """CLIP in float32, its tokenizer, and the settings.

    Args:
        settings: settings, or a configuration that `read` takes them from.
        model: CLIP in place of the settings' own: hub id or folder.
        device: "auto" (cuda, mps, cpu) or a torch device.

    Raises InputError for settings or a model that cannot be used.
    """
    chosen = read(settings) if isinstance(settings, str) else settings
    if model is not None:
        chosen = replace(chosen, model=model)
    return *load_clip(chosen.model, device), chosen


class LastTexts(OrderedDict[tuple[str, ...], Value]):
    """What was made of the last few vocabularies, by their words."""

    def of(self, words: tuple[str, ...], make: Callable[[], Value]) -> Value:
        """What is kept of these words; made when nothing is. The vocabulary used longest ago goes for a new one."""
        if words not in self:
            self[words] = make()
            if len(self) > KEPT_TEXTS:
                self.popitem(last=False)
        self.move_to_end(words)
        return self[words]
