"""The settings of a SegFormer of a few thousand weights."""

from typing import Any

NETWORK: dict[str, Any] = {
    "hidden_sizes": [8, 8, 8, 8],
    "depths": [1, 1, 1, 1],
    "num_attention_heads": [1, 1, 1, 1],
    "mlp_ratios": [1, 1, 1, 1],
    "decoder_hidden_size": 8,
}
