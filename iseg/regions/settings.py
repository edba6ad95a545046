"""Settings of regions without words."""

from dataclasses import dataclass
from typing import Literal, get_args

from iseg.errors import InputError

Method = Literal["merge", "cut", "ours"]
METHODS: tuple[str, ...] = get_args(Method)
ENTROPY = {"merge": None, "cut": None, "ours": 0.3}  # chosen on scenes apart from those reported: docs/regions.md
ITERATIONS = {"merge": 1, "cut": 1, "ours": 2}
EVERY_LAYER = {"merge": True, "cut": False, "ours": False}


@dataclass(frozen=True)
class RegionSettings:
    """How regions are found; nothing is tuned per image.

    Attributes:
        method: "merge" (DiffSeg's merging of self-attention), "cut" (DiffCut's recursive normalised cut,
            with rows of the recorded self-attention as features), or "ours" (the same cut on anchors, described by
            where the entropy-reduced matrix leads).
        coarse: 0 (many regions) to 1 (few). merge: the KL threshold is 2 * coarse; cut, ours: a set of places is split
            while its normalised cut is below 1 - coarse.
        entropy: weight of the entropy step; "method" is the method's own; None takes the matrix as it was recorded.
        iterations: products with the matrix, >= 1; None is the method's own number.
        anchors: anchors per side of the grid (merge, ours).
        every_layer: the self-attention of all layers of the model, aggregated as DiffSeg does (`aggregate`), instead of
            the layers that the recipe records; "method" is the method's own: merge reads every layer.
    """

    method: Method = "ours"
    coarse: float = 0.5
    entropy: float | Literal["method"] | None = "method"
    iterations: int | None = None
    anchors: int = 16
    every_layer: bool | Literal["method"] = "method"

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise InputError(f"method is {self.method!r}: expected one of {', '.join(METHODS)}")
        limits = {"coarse": (0, 1), "entropy": (0, 1000), "iterations": (1, 1000), "anchors": (1, 256)}
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if (value is None and name in ("entropy", "iterations")) or value == "method":
                continue
            if not isinstance(value, (int, float)) or not low <= value <= high:
                raise InputError(f"{name} is {value!r}: expected a number in {low}..{high}")

    @property
    def reads_every_layer(self) -> bool:
        """Whether the self-attention of all layers is read."""
        return EVERY_LAYER[self.method] if self.every_layer == "method" else self.every_layer

    @property
    def entropy_weight(self) -> float | None:
        """The weight of the entropy step, None for the matrix as it was recorded."""
        return ENTROPY[self.method] if self.entropy == "method" else self.entropy

    @property
    def products(self) -> int:
        """The number of products with the matrix."""
        return ITERATIONS[self.method] if self.iterations is None else self.iterations
