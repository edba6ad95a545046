"""CLIP's text side: one feature per class name, averaged over templates (TagCLIP, arXiv 2312.12828)."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
import yaml
from torch import Tensor

from iseg.errors import InputError, echo
from iseg.settings import configs_folder

if TYPE_CHECKING:
    from transformers import CLIPModel, PreTrainedTokenizerBase

TEXTS_PER_PASS = 512


def read_templates(path: str | Path | None = None) -> list[str]:
    """Sentences with one `{}` each; by default the 85 of `configs/tagclip/templates.yaml`.

    Raises InputError naming the file and the sentence that is not a template.
    """
    file = Path(path) if path else configs_folder() / "tagclip" / "templates.yaml"
    try:
        templates = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{file}: not readable as a list of templates: {' '.join(str(error).split())}") from None
    if not isinstance(templates, list) or not templates:
        raise InputError(f"{file}: expected a list of sentences with {{}} for the class name")
    for template in templates:
        if not isinstance(template, str) or template.count("{}") != 1:
            raise InputError(f"{file}: template {echo(template)} must be a sentence with {{}} once")
    return templates


@torch.inference_mode()
def text_features(
    model: "CLIPModel", tokenizer: "PreTrainedTokenizerBase", names: Sequence[str], templates: Sequence[str]
) -> Tensor:
    """(C, D) float32 unit features: per name the normalised mean over templates of the normalised text features.

    Sentences are padded to the longest of a pass only: attention is causal, so what follows the end token is not seen.
    """
    length = model.text_model.embeddings.position_embedding.num_embeddings
    texts = [template.format(name) for name in names for template in templates]
    pieces = []
    for start in range(0, len(texts), TEXTS_PER_PASS):
        encoded = tokenizer(
            texts[start : start + TEXTS_PER_PASS],
            padding=True,
            truncation=True,
            max_length=length,
            return_tensors="pt",
        )
        pieces.append(model.get_text_features(encoded["input_ids"].to(model.device)).pooler_output.float())
    features = F.normalize(torch.cat(pieces), dim=-1).unflatten(0, (len(names), len(templates)))
    return F.normalize(features.mean(1), dim=-1)
