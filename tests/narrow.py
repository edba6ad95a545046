"""What iseg types loosely, as the tests know it: each function asserts it and returns the same object."""

from torch import Tensor

from iseg import ISeg
from iseg.attention import Record
from iseg.backbones.unet import UNetBackbone


def unet_parts(model: ISeg) -> UNetBackbone:
    """The backbone of a model of the UNet family."""
    assert isinstance(model.backbone, UNetBackbone)
    return model.backbone


def self_attention(record: Record) -> Tensor:
    """The self-attention (B, HW, HW) of a record that holds one."""
    assert record.self_attention is not None
    return record.self_attention
