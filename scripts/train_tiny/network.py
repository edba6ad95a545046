"""The part of the UNet that segmentation uses, as one differentiable function."""

from typing import Any

import torch
import torch.nn.functional as F
from diffusers.models.attention_processor import Attention
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn

from scripts.train_tiny.model import CROSS_LAYERS


class RecordingProcessor:
    """Attention that also stores the mean of its heads' probabilities, (B, positions, tokens), while `active`."""

    def __init__(self) -> None:
        self.active = False
        self.probabilities: Tensor | None = None
        self.query: Tensor | None = None  # (B, heads, positions, d)

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
    ) -> Tensor:
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query, key, value = (
            split_heads(layer(x), attn.heads)  # (B, heads, n, d)
            for layer, x in ((attn.to_q, hidden_states), (attn.to_k, context), (attn.to_v, context))
        )
        if self.active:
            probabilities = (query @ key.transpose(-1, -2) * attn.scale).softmax(-1)
            self.probabilities, self.query = probabilities.mean(1), query
            mixed = probabilities @ value
        else:
            mixed = F.scaled_dot_product_attention(query, key, value)
        return attn.to_out[0](mixed.transpose(1, 2).flatten(2))


def kept(value: Tensor | None) -> Tensor:
    """What a processor stored in this pass."""
    assert value is not None, "its layer did not run"
    return value


def attention(unet: UNet2DConditionModel, name: str) -> Attention:
    """A layer of `CROSS_LAYERS`."""
    layer = unet.get_submodule(name)
    assert isinstance(layer, Attention)
    return layer


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(B, n, heads * d) -> (B, heads, n, d)."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


class MapNetwork(nn.Module):
    """UNet -> attention maps, stopping at the self-attention that refinement uses.

    Only the asked rows of that attention are computed: the whole matrix would cost more than all the rest.
    """

    def __init__(self, unet: UNet2DConditionModel) -> None:
        super().__init__()
        self.unet = unet
        self.recorders = {
            resolution: [RecordingProcessor() for _ in layers] for resolution, layers in CROSS_LAYERS.items()
        }
        for resolution, layers in CROSS_LAYERS.items():
            for name, recorder in zip(layers, self.recorders[resolution], strict=True):
                # annotated as diffusers' own processors only
                attention(unet, name).set_processor(recorder)  # type: ignore[arg-type]

    def forward(
        self,
        latents: Tensor,
        timesteps: Tensor,
        text: Tensor,
        queries: Tensor,
        words: Tensor | None = None,
        complete: int = 0,
    ) -> tuple[dict[int, Tensor], Tensor, list[Tensor], Tensor]:
        """Noisy latents (B, C, g, g), timesteps (B,), text (B, L, E), query positions (B, Q) of the g x g grid.

        Returns the cross maps {resolution r at the model's own size: (B, r r, L)}, means over layers and heads, and
        self-attention rows (B, Q, g g), means over heads; and, for embeddings `words` (W, E), what every recorded
        layer's queries make of these words: a list of logits (B, heads, r r, W). Last, all rows (complete, g g, g g) of
        the first items.
        """
        everything = [recorder for recorders in self.recorders.values() for recorder in recorders]
        for recorder in everything:
            recorder.active = True
        unet: Any = self.unet  # the blocks' attributes have no types
        x = unet.conv_in(latents)
        time = unet.time_embedding(unet.time_proj(timesteps))
        skips = [x]
        for block in unet.down_blocks:
            extra = {"encoder_hidden_states": text} if getattr(block, "has_cross_attention", False) else {}
            x, states = block(hidden_states=x, temb=time, **extra)
            skips += states
        for block in unet.up_blocks[:-1]:
            count = len(block.resnets)
            states, skips = tuple(skips[-count:]), skips[:-count]
            x = block(hidden_states=x, temb=time, res_hidden_states_tuple=states, encoder_hidden_states=text)
        last = unet.up_blocks[-1]
        x = last.resnets[0](torch.cat([x, skips.pop()], dim=1), time)
        rows, matrices = self.rows(last.attentions[0], x, queries), self.rows(last.attentions[0], x[:complete])
        maps = {
            resolution: torch.stack([kept(recorder.probabilities) for recorder in recorders]).mean(0)
            for resolution, recorders in self.recorders.items()
        }
        logits = [] if words is None else self.word_logits(words)
        for recorder in everything:
            recorder.active, recorder.probabilities, recorder.query = False, None, None
        return maps, rows, logits, matrices

    def word_logits(self, words: Tensor) -> list[Tensor]:
        """Scaled dot products of the recorded queries with the keys of words (W, E): (B, heads, r r, W) per layer."""
        logits = []
        for resolution, layers in CROSS_LAYERS.items():
            for name, recorder in zip(layers, self.recorders[resolution], strict=True):
                attn = attention(self.unet, name)
                key = split_heads(attn.to_k(words)[None], attn.heads)  # (1, heads, W, d)
                logits.append(kept(recorder.query) @ key.transpose(-1, -2) * attn.scale)
        return logits

    @staticmethod
    def rows(transformer: Any, x: Tensor, queries: Tensor | None = None) -> Tensor:
        """Rows `queries` (B, Q), or all, of a transformer's first self-attention on x (B, C, g, g): (B, Q, g g)."""
        states = transformer.proj_in(transformer.norm(x).permute(0, 2, 3, 1).flatten(1, 2))  # linear projection
        block = transformer.transformer_blocks[0]
        states, attn = block.norm1(states), block.attn1
        asked = states if queries is None else states.gather(1, queries[..., None].expand(-1, -1, states.shape[-1]))
        query, key = split_heads(attn.to_q(asked), attn.heads), split_heads(attn.to_k(states), attn.heads)
        return (query @ key.transpose(-1, -2) * attn.scale).softmax(-1).mean(1)
