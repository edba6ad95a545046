"""One measured case in a process of its own, so that its peak memory is its own.

python -m scripts.bench.case '{"path": "iseg", "model": "tiny", "dtype": "float32"}'    # prints one line of JSON
"""

import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from iseg import ISeg
from iseg.backbones.find import find_row, locate
from iseg.backbones.load import pick_device
from iseg.backbones.seam import Condition
from iseg.backbones.unet import UNetBackbone
from iseg.cli.check.machine import device_name, peak_memory
from iseg.recipe import Recipe, load_recipe
from scripts.bench.peaks import busy_share, count_flop, measure_peaks, synchronize
from scripts.bench.plain import PlainPath
from scripts.bench.stages import stopwatch

ITERATIONS, TRAJECTORY = 10, 20


@dataclass(frozen=True)
class Case:
    """path: "iseg", "plain" or "interaction"; model: a backbone or folder; backbone: row of its table."""

    path: str = "iseg"
    model: str = "tiny"
    backbone: str = "tiny"
    device: str = "cpu"
    dtype: str = "auto"
    batch: int = 1
    compile: bool = False
    vae: str | None = None
    repeats: int = 3
    classes: int = 2


def recipe_of(case: Case) -> Recipe:
    """The VOC recipe for Stable Diffusion, the embedded model's own with clusters; ten products either way.

    Interaction has the backbone's interactive settings and twenty products.
    """
    if case.path == "interaction":
        return Recipe().changed(**{**find_row(case.backbone).recipe, "iterations": TRAJECTORY})
    if case.backbone == "tiny":
        recipe = Recipe().changed(**find_row("tiny").recipe)
        return recipe.changed(cluster=True, cluster_stride=6, iterations=ITERATIONS)
    return load_recipe("wsss/voc", iterations=ITERATIONS)


def picture(side: int = 512) -> NDArray[np.uint8]:
    """A smooth random picture (side, 4/3 side, 3), the same every time."""
    rng = np.random.default_rng(0)
    coarse = torch.from_numpy(rng.uniform(0, 255, (1, 3, 9, 12)).astype(np.float32))
    fine = torch.nn.functional.interpolate(coarse, (side, side * 4 // 3), mode="bicubic").clamp(0, 255)
    return fine[0].permute(1, 2, 0).to(torch.uint8).numpy()


def words_of(case: Case) -> list[str]:
    return ["cat", "dog", "person", "car", "bird"][: case.classes]


def with_rest(spent: dict[str, float], whole: str) -> dict[str, float]:
    """Seconds of the stages, with `other`: what of the whole no stage accounts for."""
    accounted = sum(seconds for stage, seconds in spent.items() if stage != whole)
    return {**spent, "other": spent[whole] - accounted}


def medians(rounds: list[dict[str, float]]) -> dict[str, float]:
    """Median of every stage, in the order of the first round."""
    return {stage: statistics.median(each.get(stage, 0.0) for each in rounds) for stage in rounds[0]}


def unet_of(seg: ISeg) -> UNetBackbone:
    """The backbone as the benchmark needs it: with networks of its own, which it can compile and forget prompts of."""
    assert isinstance(seg.backbone, UNetBackbone), f"the benchmark measures UNets, not {type(seg.backbone).__name__}"
    return seg.backbone


def measure_iseg(case: Case) -> dict[str, Any]:
    """Stages, total, memory and FLOP of the real path."""
    image, words = picture(), words_of(case)
    started = time.perf_counter()
    seg = ISeg.from_pretrained(case.model, recipe_of(case), case.device, case.dtype, case.backbone, case.vae)
    loaded = time.perf_counter() - started
    parts = unet_of(seg)
    rounds = []
    if case.compile:
        parts.compile()

    def once() -> None:
        seg.segment_batch([image] * case.batch, [words] * case.batch)

    for _ in range(case.repeats + 1):
        parts.forget_prompts()
        with stopwatch(parts.device) as spent:
            start = time.perf_counter()
            once()
            synchronize(parts.device)
            spent["total"] = time.perf_counter() - start
        rounds.append(with_rest(spent, "total"))
    memory = peak_memory(parts.device)
    busy = busy_share(once, parts.device)
    peaks = measure_peaks(parts.device, parts.dtype)
    counted = {} if case.compile else flop(seg, words, case.batch)
    measured = {"stages": medians(rounds[1:]), "first": rounds[0]["total"], **memory, "busy": busy}
    return {"load": loaded, **measured, "peaks": peaks, "flop": counted}


@torch.inference_mode()
def flop(seg: ISeg, words: list[str], batch: int) -> dict[str, int]:
    """FLOP of the three networks, up to the last recorded layer."""
    parts = unet_of(seg)
    recipe = seg.recipe
    side = parts.row.image_size
    images = torch.rand(batch, 3, side, side)
    latents = parts.encode(images)
    parts.forget_prompts()
    ids = parts.tokenizer("a photograph of " + " and ".join(words), padding="max_length", max_length=77)["input_ids"]
    embeddings = parts.embed(ids)[None].expand(batch, -1, -1)

    def unet() -> None:
        parts.record(parts.noised(latents), Condition(embeddings, []), parts.row.layers(recipe))

    calls: dict[str, Callable[[], Any]] = {"encode": lambda: parts.encode(images), "unet": unet}
    counted = {name: count_flop(call) for name, call in calls.items()}
    parts.forget_prompts()
    return {"text": count_flop(lambda: parts.embed(ids)), **counted}  # once: all images of a case have one prompt


def measure_plain(case: Case) -> dict[str, Any]:
    """Stages, total and memory of the plain path; always float32, one image at a time."""
    image, words = picture(), words_of(case)
    backbone = find_row(case.model, case.backbone)
    device = pick_device(case.device)
    path = PlainPath(locate(backbone), backbone, recipe_of(case), device)
    rounds = [path.run(image, words) for _ in range(case.repeats + 1)]
    return {"stages": medians(rounds[1:]), "first": rounds[0]["total"], **peak_memory(device)}


def measure_interaction(case: Case) -> dict[str, Any]:
    """Seconds, with the image encoded, from a new point to its whole trajectory and from a new entropy weight to it."""
    seg = ISeg.from_pretrained(case.model, recipe_of(case), case.device, case.dtype, case.backbone)
    seg.set_image(picture())
    seg.segment(points=[(100, 100)], trajectory=True)
    rounds, points = [], []
    for i in range(3 * case.repeats):
        start = time.perf_counter()
        seg.segment(points=[(120 + 9 * i, 150 + 7 * i)], trajectory=True)
        points.append(time.perf_counter() - start)
        with stopwatch(seg.backbone.device) as spent:
            start = time.perf_counter()
            seg.segment(points=[(120 + 9 * i, 150 + 7 * i)], trajectory=True, entropy=0.05 + 0.01 * i)
            spent["new entropy"] = time.perf_counter() - start
        rounds.append(with_rest(spent, "new entropy"))
    stages = {**medians(rounds), "new point": statistics.median(points)}
    return {"stages": stages, **peak_memory(seg.backbone.device)}


def main() -> None:
    case = Case(**json.loads(sys.argv[1]))
    measure = {"iseg": measure_iseg, "plain": measure_plain, "interaction": measure_interaction}[case.path]
    device = device_name(pick_device(case.device))
    print(json.dumps({"case": asdict(case), "device": device, **measure(case)}))


if __name__ == "__main__":
    main()
