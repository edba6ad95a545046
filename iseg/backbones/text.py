"""CLIP's text encoders and tokenizers: one for Stable Diffusion 1.x and 2.x, two for SDXL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from iseg.backbones.build import fill
from iseg.errors import InputError, echo

PROBE = "a photograph of the other object"  # words of which any CLIP vocabulary knows more than single letters


@dataclass(frozen=True)
class SecondEncoder:
    """SDXL's second text encoder, a CLIPTextModelWithProjection, and the id that its tokenizer pads with."""

    model: nn.Module
    pad: int


def load_tokenizer(folder: Path, tokens: int, pad: str | None) -> Any:
    """A fast CLIP tokenizer of a folder that pads as its model was trained to.

    Args:
        tokens: the length that it must have.
        pad: the pad token that it must have; None = any.

    Raises InputError for one that cannot be read or is another model's.
    """
    from transformers import CLIPTokenizer

    if not folder.is_dir():
        raise InputError(f"{folder} is not there: expected the folder of a CLIP tokenizer")
    try:
        tokenizer = CLIPTokenizer.from_pretrained(folder)
        pieces = tokenizer(PROBE, add_special_tokens=False)["input_ids"]
    except Exception as error:  # the library raises many types; each means that this folder cannot be used
        raise InputError(f"{folder} is not a CLIP tokenizer: {' '.join(str(error).split())[:200]}") from None
    length, has = tokenizer.model_max_length, tokenizer.pad_token
    if len(pieces) >= len(PROBE.replace(" ", "")):
        raise InputError(f"{folder} reads every word letter by letter: its merges.txt is empty or damaged")
    if length != tokens:
        told = "no length" if length > 1e9 else f"length {length}"
        raise InputError(f"{folder} has {told}: expected model_max_length {tokens} in its tokenizer_config.json")
    if pad is not None and has != pad:
        raise InputError(
            f"{folder} pads with {echo(has)}, the model with {echo(pad)}: it is another model's tokenizer, which would "
            "change every embedding; put the model's own in its place"
        )
    return tokenizer


def second_pad(tokenizer: Any, second: Any) -> int:
    """The pad id of SDXL's second tokenizer. Raises InputError unless both have the same vocabulary."""
    if tokenizer.get_vocab() != second.get_vocab():
        raise InputError("tokenizer_2 has another vocabulary than tokenizer: expected both of SDXL")
    return int(second.pad_token_id)


def text_encoder(config: Mapping[str, Any], state: Mapping[str, Tensor], what: str, projection: bool) -> nn.Module:
    """A CLIP text encoder in eval mode out of its configuration and tensors, of which it needs all.

    Args:
        state: tensors by their names in any version of transformers; those of other parts of CLIP are left alone.
        what: the part, for messages.
        projection: with the projection of the pooled state (SDXL's second encoder).

    Raises InputError for a tensor that is missing or of another shape.
    """
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    with torch.device("meta"):
        encoder = (CLIPTextModelWithProjection if projection else CLIPTextModel)(CLIPTextConfig(**config))
    wanted = encoder.state_dict()
    prefix = "text_model."  # which some versions and layouts write, and others do not
    names = {name: next((n for n in (name, name.removeprefix(prefix), prefix + name) if n in wanted), None)
             for name in state}  # fmt: skip
    fill(encoder, {new: state[name] for name, new in names.items() if new is not None}, what)
    _count_positions(encoder, what)
    return encoder.eval()


def _count_positions(encoder: nn.Module, what: str) -> None:
    """Give a text encoder built on "meta" the one buffer that no file holds: position ids (1, L), 0..L-1.

    Raises InputError for any other buffer that is left without values.
    """
    for name, buffer in list(encoder.named_buffers()):
        if not buffer.is_meta:
            continue
        owner, _, own = name.rpartition(".")
        if own != "position_ids":
            raise InputError(f"{what}: nothing gives the buffer {name} its values")
        setattr(encoder.get_submodule(owner), own, torch.arange(buffer.shape[-1]).expand(buffer.shape))


def hidden_states(encoder: Any, ids: Tensor) -> Tensor:
    """Token ids (B, L) -> last hidden states (B, L, D), after the final norm."""
    return encoder(ids).last_hidden_state


def both_hidden_states(encoder: Any, second: SecondEncoder, ids: Sequence[int], end: int) -> tuple[Tensor, Tensor]:
    """SDXL: ids (L) of the first tokenizer -> the states (L, D1 + D2) before the last layer, and the pooled vector (P).

    The second tokenizer gives the same ids but for the padding, which follows the first `end` token.
    """
    where = next(encoder.parameters()).device
    tokens = list(ids)
    past = tokens.index(end) + 1 if end in tokens else len(tokens)
    padded = tokens[:past] + [second.pad] * (len(tokens) - past)
    first_out = encoder(torch.tensor([tokens], device=where), output_hidden_states=True)
    second_out = second.model(torch.tensor([padded], device=where), output_hidden_states=True)
    states = torch.cat([first_out.hidden_states[-2], second_out.hidden_states[-2]], -1)
    return states[0], second_out.text_embeds[0]
