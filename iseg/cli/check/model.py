"""A model at work: it loads, reads words, attends, segments pictures of known truth, and agrees with float32."""

import gc
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from iseg import ISeg, prompt
from iseg.attention import Record
from iseg.backbones.find import find_row, locate, row_sources
from iseg.backbones.load import pick_dtype
from iseg.cli.check.agreement import agreement
from iseg.cli.check.cases import Case, cases_for
from iseg.cli.check.machine import device_name, free_memory, peak_memory, size
from iseg.cli.check.report import Finding, NotRunError
from iseg.errors import InputError
from iseg.files.images import read_image
from iseg.results import Segmentation

SUM = 1e-4  # how far a sum of probabilities may be from 1
SPELLED = ("cat", "potted plant", "motorbike")
ROOM = 2**30  # bytes that a pass takes beside the weights, roughly


class Model:
    """A loaded model and what its checks leave for later ones.

    Args:
        name: of the table, a folder, a file or a hub id.
        backbone: row of the table whose layers fit, see `find_row`.
        device, dtype: as for `ISeg.from_pretrained`.
    """

    def __init__(self, name: str, backbone: str | None, device: str, dtype: str) -> None:
        self.row = find_row(name, backbone)
        self.device, self.dtype = device, dtype
        self.cases = cases_for(self.row)
        self.place: Path | None = None
        self.precision = ""
        self.seg: ISeg | None = None
        self.record: Record | None = None
        self.found: dict[str, Segmentation] = {}  # {case: result}
        self.seconds: list[float] = []

    def items(self) -> Iterator[tuple[str, Callable[[], Finding]]]:
        """(name, check) in order: each of them needs those before it."""
        yield "load", self.load
        yield "tokenizer", self.tokenizer
        yield "layers", self.layers
        yield "attention", self.attention
        for case in self.cases:
            yield f"picture {case.name}", partial(self.picture, case)
        yield "time", self.speed
        yield "peak memory", self.memory
        yield "float32 on the CPU", self.against_float32

    def load(self) -> Finding:
        """Seconds and memory; nothing is downloaded."""
        try:
            self.place = locate(self.row, download=False)
        except InputError:
            raise InputError(f"the weights are not on this machine, and a check downloads nothing: looked for in "
                             f"{', '.join(source.id for source in row_sources(self.row))}") from None  # fmt: skip
        start = time.perf_counter()
        self.seg = self._loaded(self.device, self.dtype)
        seconds = time.perf_counter() - start
        device, held = self.seg.backbone.device, sum(weight.nbytes for weight in self._weights())
        self.precision = pick_dtype(self.dtype, device, self.row.cpu_dtype)
        count = sum(weight.numel() for weight in self._weights())
        where = f"{self.precision} on {device} ({device_name(device)})"
        text = f"{seconds:.1f} s, {count / 1e6:.1f} M weights in {size(held)}, {where}, from {self.place}"
        values = {"seconds": seconds, "bytes": held, "weights": count, "dtype": self.precision, "device": str(device)}
        return Finding(text, values={**values, "place": str(self.place)})

    def tokenizer(self) -> Finding:
        """The token spans of a known prompt spell its words, and the text encoder takes the ids."""
        seg, known = self._seg(), self.row.words
        words = [word for word in SPELLED if known is None or word in known]
        read = seg.backbone.tokenizer
        made = prompt.build(seg.recipe.prompt, prompt.class_words(words), seg.recipe.context)
        ids, spans = prompt.tokenize(read, made)
        spelled = [read.decode([ids[i] for i in span]).strip() for span in spans]
        if [each.casefold() for each in spelled] != [word.casefold() for word in words]:
            raise InputError(f"the tokens of {words} spell {spelled}: this is not the model's tokenizer")
        embedded = seg.backbone.condition([made]).embeddings
        _finite("text embeddings", embedded)
        text = f"{', '.join(f'{word} = tokens {span}' for word, span in zip(words, spans, strict=True))}"
        return Finding(f"{text} of {len(ids)}", values={"words": words, "spans": spans, "length": len(ids)})

    @torch.inference_mode()
    def layers(self) -> Finding:
        """One recorded pass: every layer of the recipe is there, at its resolution."""
        seg, case = self._seg(), self.cases[0]
        layers = seg.backbone.row.layers(seg.recipe)
        latents = seg.encode([read_image(case.image)], seg.recipe)
        _finite("latents", latents)
        made = prompt.build(seg.recipe.prompt, prompt.class_words(case.words), seg.recipe.context)
        record = seg.backbone.record(seg.backbone.noised(latents), seg.backbone.condition([made]), layers)
        shapes = {resolution: tuple(maps.shape) for resolution, maps in record.cross_attention.items()}
        wrong = {resolution: shape for resolution, shape in shapes.items() if shape[2:] != (resolution, resolution)}
        if set(shapes) != set(layers.cross_attention) or wrong or record.self_attention is None:
            raise InputError(f"recorded cross-attention {shapes}: expected {sorted(layers.cross_attention)}")
        self.record = record
        side = round(record.self_attention.shape[1] ** 0.5)
        counted = {f"cross {r}x{r}": chosen for r, chosen in layers.cross_attention.items()}
        counted[f"self {side}x{side}"] = layers.self_attention
        values = {
            name: {"layers": sum(map(bool, chosen.values())), "heads": sum(map(len, chosen.values()))}
            for name, chosen in counted.items()
        }
        text = "; ".join(f"{name}: layers {each['layers']}, heads {each['heads']}" for name, each in values.items())
        return Finding(text, values=values)

    def attention(self) -> Finding:
        """What was recorded are probabilities: finite, not negative, each query's sum 1."""
        if self.record is None or self.record.self_attention is None:
            raise NotRunError("nothing was recorded")
        rows = self.record.self_attention.sum(-1)
        sums = [rows, *(maps.sum(1) for maps in self.record.cross_attention.values())]
        for maps in (self.record.self_attention, *self.record.cross_attention.values()):
            _finite("recorded maps", maps)
            if float(maps.min()) < 0:
                raise InputError(f"recorded maps hold {float(maps.min()):g}: expected probabilities")
        off = max(float((each - 1).abs().max()) for each in sums)
        values = {"off": off, "limit": SUM}
        text = f"rows sum to 1 within {off:.0e} (limit {SUM:.0e}), all maps finite"
        return Finding(text, "ok" if off <= SUM else "FAILED", values)

    def picture(self, case: Case) -> Finding:
        """IoU of a picture of known truth, beside what is expected."""
        seg = self._seg()
        start = time.perf_counter()
        seg.set_image(case.image)
        result = seg.segment(classes=case.words)
        self.seconds.append(time.perf_counter() - start)
        _finite("maps", torch.from_numpy(result.maps))
        self.found[case.name] = result
        found = case.judged(result.mask, self.row.name)
        return replace(found, values={**found.values, "seconds": self.seconds[-1]})

    def speed(self) -> Finding:
        """Seconds of the pictures; the first also warms up."""
        if not self.seconds:
            raise NotRunError("no picture was segmented")
        first, later = self.seconds[0], self.seconds[1:] or self.seconds
        middle = statistics.median(later)
        text = f"{middle:.2f} s an image (median of {len(later)}), the first {first:.2f} s"
        return Finding(text, values={"seconds": middle, "first": first})

    def memory(self) -> Finding:
        """Peak of this process, and of the device, up to here: before the float32 model is loaded."""
        peak = peak_memory(self._seg().backbone.device)
        return Finding(", ".join(f"{name.removesuffix(' MB')} {value:.0f} MB" for name, value in peak.items()),
                       values=peak)  # fmt: skip

    def against_float32(self) -> Finding:
        """The first picture again in float32 on the CPU: the difference of maps and the share of equal labels."""
        seg, case = self._seg(), self.cases[0]
        if case.name not in self.found:
            raise NotRunError(f"picture {case.name} was not segmented")
        if seg.backbone.device.type == "cpu" and self.precision == "float32":
            return Finding("this was float32 on the CPU: nothing to compare")
        needed, free = 4 * sum(weight.numel() for weight in self._weights()) + ROOM, free_memory()
        self.seg = None  # its memory is needed
        del seg
        gc.collect()
        if free is not None and free < needed:
            raise NotRunError(f"float32 on the CPU takes about {size(needed)}, {size(free)} are free")
        reference = self._loaded("cpu", "float32")
        reference.set_image(case.image)
        return agreement(self.found[case.name], reference.segment(classes=case.words))

    def _loaded(self, device: str, dtype: str) -> ISeg:
        return ISeg.from_pretrained(str(self.place), device=device, dtype=dtype, backbone=self.row.name)

    def _seg(self) -> ISeg:
        if self.seg is None:
            raise NotRunError("the model was not loaded")
        return self.seg

    def _weights(self) -> Iterator[nn.Parameter]:
        for part in vars(self._seg().backbone).values():
            if isinstance(part, nn.Module):
                yield from part.parameters()


def _finite(what: str, values: Tensor) -> None:
    if not bool(torch.isfinite(values).all()):
        raise InputError(f"{what} hold NaN or infinity: broken weights, or a number too large for this precision")
