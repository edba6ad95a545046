"""The settings of a training: one YAML file, any of them overridden on the command line."""

from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from iseg.errors import InputError
from iseg.evaluate.config import Data
from iseg.notation import check_numbers, options_given
from iseg.settings import config_parser, parsed, read_yaml

CROP_STEP = 32  # pixels: the coarsest grid of the networks


@dataclass(frozen=True)
class Augmentation:
    """How a training picture is changed; its mask goes along.

    Attributes:
        crop: side in pixels of the square that the network sees; what a picture lacks is filled up and ignored.
        scale: [least, most] factor on the picture's sides, drawn evenly on a logarithmic axis.
        flip: whether half of the pictures are mirrored.
        colour: the largest relative change of brightness, contrast and saturation.
        hue: the largest turn of the hue, in turns of the colour circle (0.5 = any).
    """

    crop: int = 512
    scale: list[float] = field(default_factory=lambda: [0.5, 2.0])
    flip: bool = True
    colour: float = 0.25
    hue: float = 0.05

    def __post_init__(self) -> None:
        if self.crop < CROP_STEP or self.crop % CROP_STEP:
            raise InputError(f"augment.crop is {self.crop}: expected a multiple of {CROP_STEP}")
        if len(self.scale) != 2 or not 0 < self.scale[0] <= self.scale[1] <= 16:
            raise InputError(f"augment.scale is {self.scale}: expected [least, most], above 0 and at most 16")
        for name in ("colour", "hue"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"augment.{name} is {getattr(self, name)}: expected 0 up to below 1")


@dataclass(frozen=True)
class Training:
    """Settings of a training.

    Attributes:
        data: the training images. Their truth is not looked at unless there are no `masks`.
        val: images with true masks for the validation.
        masks: folder of NAME.png, the masks that are learnt (RUN/masks); null = the truth of `data`, the upper bound.
        missing: what becomes of a training image without a mask: "error", or "skip" (a run leaves images of nothing but
            background without one).
        confidence: folder of NAME.png, grey 0..255: how much each pixel counts (RUN/confidence of `decide`); null = all
            the same.
        model: a folder or hub name of a network of transformers (its weights are the start), or "scratch".
        network: settings of the SegformerConfig of "scratch".
        mean, std: of the pictures' channels in [0, 1], for "scratch"; a pretrained network brings its own.
        augment: see Augmentation.
        steps: updates in all; batch_size: pictures per update, over all processes.
        rate: learning rate of the network's body; head_factor: of its head, relative to that.
        weight_decay: of AdamW; biases and norms have none.
        schedule: "poly" (1 - step / steps)^power, or "cosine"; warmup: updates of linear growth before it.
        power: of "poly".
        ema: decay of the moving average of the weights, which is what is validated and kept; 0 = none.
        clip: largest norm of the gradients.
        precision: auto is bfloat16 on a GPU that has it, else float16 on a GPU, float32 on the CPU.
        validate_every: updates between validations; checkpoint_every: between checkpoints.
        val_limit: only the first images of the validation are used while training.
        scales: factors on the picture's sides at which the validation looks, averaged; flip: with mirrored ones.
        limit: only the first training images.
        readers: threads that read ahead, per process.
        device: auto or cpu.
        seed: of weights, order and augmentation.
        out: folder of the results.
    """

    data: Data
    val: Data
    masks: str | None = None
    missing: Literal["error", "skip"] = "error"
    confidence: str | None = None
    model: str = "nvidia/mit-b2"
    network: dict[str, Any] = field(default_factory=dict)
    mean: list[float] = field(default_factory=lambda: [0.485, 0.456, 0.406])
    std: list[float] = field(default_factory=lambda: [0.229, 0.224, 0.225])
    augment: Augmentation = field(default_factory=Augmentation)
    steps: int = 20000
    batch_size: int = 16
    rate: float = 6e-5
    head_factor: float = 10.0
    weight_decay: float = 0.01
    schedule: Literal["poly", "cosine"] = "poly"
    power: float = 1.0
    warmup: int = 1500
    ema: float = 0.999
    clip: float = 1.0
    precision: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    validate_every: int = 2000
    checkpoint_every: int = 1000
    val_limit: int | None = None
    scales: list[float] = field(default_factory=lambda: [1.0])
    flip: bool = False
    limit: int | None = None
    readers: int = 4
    device: Literal["auto", "cpu"] = "auto"
    seed: int = 0
    out: str = "runs/student"

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "validate_every", "checkpoint_every", "readers", "limit", "val_limit"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name} is {value}: expected at least 1")
        for name in ("warmup", "seed", "weight_decay"):
            if getattr(self, name) < 0:
                raise InputError(f"{name} is {getattr(self, name)}: expected at least 0")
        for name in ("rate", "head_factor", "power", "clip"):
            if not 0 < getattr(self, name) < float("inf"):
                raise InputError(f"{name} is {getattr(self, name)}: expected a number above 0")
        if not 0 <= self.ema < 1:
            raise InputError(f"ema is {self.ema}: expected 0 up to below 1")
        check_scales(self.scales)
        for name in ("mean", "std"):
            if len(getattr(self, name)) != 3 or (name == "std" and min(self.std) <= 0):
                raise InputError(f"{name} is {getattr(self, name)}: expected three numbers, one per channel")

    def decides(self) -> dict[str, Any]:
        """The settings that decide the weights, as plain values. Where things lie and how they are read is left out."""
        how = ("data", "val", "masks", "confidence", "readers", "device", "out", "checkpoint_every", "precision")
        kept = {key: value for key, value in asdict(self).items() if key not in how}
        for name in ("data", "val"):
            data: Data = getattr(self, name)
            kept[name] = {"kind": data.kind, "split": data.split, "background": data.background}
        return kept | {"learns": "truth" if self.masks is None else "masks", "weighed": self.confidence is not None}


def check_scales(scales: list[float]) -> None:
    """Raises InputError for factors at which no picture can be looked at."""
    if not scales or not all(0.1 <= scale <= 8 for scale in scales):
        raise InputError(f"scales is {scales}: expected factors of 0.1 to 8, e.g. [0.75, 1.0, 1.25]")


def load_training(arguments: list[str], prog: str) -> Training:
    """Settings from `--config FILE` (a path or a name below configs/, e.g. "wsss/train_voc") and `--key value`.

    Raises InputError naming the file and the key for anything unknown or of the wrong type.
    """
    parser, path, rest = config_parser(arguments, Training, prog, "Train a segmenter on masks.", "wsss/train_voc")
    content = read_yaml(path)
    check_numbers(Training, content, str(path))
    check_numbers(Training, options_given(rest), "", "--")
    parsed(parser.parse_object, content, str(path))
    given = parsed(parser.parse_args, ["--config", str(path), *rest], "command line")
    return parsed(lambda each: _made(parser, each), given, str(path))


def _made(parser: Any, given: Any) -> Training:
    settings = parser.instantiate(given)
    return Training(**{entry.name: settings[entry.name] for entry in fields(Training)})
