"""The student's network: any semantic-segmentation model of transformers, and its folder."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import (
    AutoImageProcessor,
    AutoModelForSemanticSegmentation,
    PreTrainedModel,
    SegformerConfig,
    SegformerForSemanticSegmentation,
)

from iseg.backbones.quiet import quiet
from iseg.errors import InputError, echo, printable
from iseg.files.export import atomic_files, write_json
from iseg.student.settings import Training, check_scales

HEADS = ("decode_head", "auxiliary_head", "head", "segmentation_head", "classifier", "neck")
SCRATCH = "scratch"
SCALES = "student.json"  # {"scales": those that the student was validated at}


def make_network(training: Training, names: Sequence[str]) -> tuple[PreTrainedModel, list[float], list[float]]:
    """The network with a head for `names` (background first), and the mean and std of the pictures it takes.

    Raises InputError for a model that cannot be had and for settings that it does not have.
    """
    labels: dict[str, Any] = {"id2label": dict(enumerate(names)), "label2id": {name: k for k, name in enumerate(names)}}
    if training.model == SCRATCH:
        known = SegformerConfig().to_dict()
        unknown = [key for key in training.network if key not in known or key in labels]
        if unknown:
            raise InputError(f"network has unknown key {echo(unknown[0])}: expected settings of a SegformerConfig")
        try:
            config = SegformerConfig(**{**training.network, **labels})
            return SegformerForSemanticSegmentation(config), training.mean, training.std
        except (ValueError, TypeError, IndexError, RuntimeError) as error:
            raise InputError(f"network: no SegFormer can be made of it: {printable(error, 200)}") from None
    if training.network:
        raise InputError(f"network was given with model {echo(training.model)}: expected it with model: scratch only")
    with fetching(training.model):
        network = AutoModelForSemanticSegmentation.from_pretrained(
            training.model, **labels, ignore_mismatched_sizes=True, use_safetensors=True
        )
        processor = AutoImageProcessor.from_pretrained(training.model)
    return network, list(processor.image_mean), list(processor.image_std)


@contextmanager
def fetching(source: str) -> Iterator[None]:
    """A block that has transformers read a model, quietly: what is wrong becomes an InputError naming it."""
    try:
        with quiet("transformers"):
            yield
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise InputError(f"model {echo(source)} cannot be had: {printable(error, 240)}: expected a folder or hub name "
                         "of a semantic-segmentation model of transformers with safetensors") from None  # fmt: skip


def parameter_groups(network: nn.Module, rate: float, head_factor: float, decay: float) -> list[dict[str, Any]]:
    """Groups for AdamW: the head learns `head_factor` times as fast; biases and norms do not decay."""
    groups: dict[tuple[bool, bool], list[Tensor]] = {}
    for name, weight in network.named_parameters():
        if weight.requires_grad:
            groups.setdefault((name.split(".")[0] in HEADS, weight.ndim > 1), []).append(weight)
    return [
        {"params": weights, "lr": rate * (head_factor if head else 1), "weight_decay": decay if matrix else 0.0}
        for (head, matrix), weights in groups.items()
    ]


def save_student(folder: Path, student: "Student", weights: Mapping[str, Tensor]) -> None:
    """Write a folder that plain transformers loads: config.json, model.safetensors, preprocessor_config.json.

    weights: of the student's network, instead of those that it has. The scales are in a file of their own.
    """
    processor = {
        "image_processor_type": "SegformerImageProcessor",
        "do_resize": False,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": student.mean.flatten().tolist(),
        "image_std": student.std.flatten().tolist(),
        "do_reduce_labels": False,
    }
    with quiet("transformers"), atomic_files(folder, last="config.json") as hidden:
        student.network.save_pretrained(hidden, state_dict=dict(weights), safe_serialization=True)
        write_json(hidden / "preprocessor_config.json", processor)
        write_json(hidden / SCALES, {"scales": student.scales})


def load_student(folder: str | Path, device: str | torch.device = "cpu") -> "Student":
    """A trained folder. Raises InputError for one that holds no semantic-segmentation model with its preprocessing."""
    if not (Path(folder) / "config.json").is_file():
        raise InputError(f"{folder}: no student is there: expected a folder with config.json and model.safetensors")
    with fetching(str(folder)):
        network = AutoModelForSemanticSegmentation.from_pretrained(folder, use_safetensors=True)
        processor = AutoImageProcessor.from_pretrained(folder)
    scales = [1.0]
    if (Path(folder) / SCALES).is_file():
        try:
            scales = [float(scale) for scale in json.loads((Path(folder) / SCALES).read_text())["scales"]]
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise InputError(f"{folder}/{SCALES}: not readable: {printable(error, 120)}") from None
        check_scales(scales)
    return Student(network, processor.image_mean, processor.image_std, scales).to(device).eval()


class Student(nn.Module):
    """A network together with how its pictures are normalised.

    Args:
        network: a semantic-segmentation model.
        mean, std: of the three channels, for pictures in [0, 1].
        scales: factors on the sides of pictures at which it is looked at where nothing else is asked for.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, network: PreTrainedModel, mean: Sequence[float], std: Sequence[float], scales: Sequence[float] = (1.0,)
    ) -> None:
        super().__init__()
        self.network, self.scales = network, list(scales)
        for name, values in (("mean", mean), ("std", std)):
            self.register_buffer(
                name, torch.tensor(list(values), dtype=torch.float32).reshape(3, 1, 1), persistent=False
            )

    @property
    def names(self) -> list[str]:
        """Class names by label, the background first."""
        config: Any = self.network.config
        return [config.id2label[k] for k in range(config.num_labels)]

    def forward(self, pixels: Tensor) -> Tensor:
        """Pictures (B, 3, H, W), uint8 or float in 0..255 -> logits (B, C, h, w) on the network's grid."""
        return self.network(pixel_values=(pixels.float() / 255 - self.mean) / self.std).logits
