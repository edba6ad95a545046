"""What a run of clicks tells: NoC, failures, the IoU over the clicks; a table, CSV, JSON and a PNG."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from iseg.evaluate.score import markdown, write_csv
from iseg.files.export import write_json
from iseg.files.plot import Axis, draw_lines
from iseg.noc.protocol import LIMIT, TARGETS, clicks_needed, continued, failed


@dataclass(frozen=True)
class ObjectResult:
    """What one decision made of one object; `ious` after each click."""

    image: str
    object: int
    pixels: int
    decision: str
    ious: list[float]


def read_results(name: str, record: Mapping[str, Any]) -> list[ObjectResult]:
    """The results in the record of an image."""
    return [
        ObjectResult(name, each["id"], each["pixels"], decision, played["ious"])
        for each in record["objects"]
        for decision, played in each["decisions"].items()
    ]


def summarize(results: Sequence[ObjectResult]) -> dict[str, dict[str, Any]]:
    """{decision: figures}: means over the objects.

    `noc85` and `nof85` (objects that never get there), the same for 90; `at_limit85` counts those that need all clicks,
    success at the last one included, as tables often print it; `iou` after 1..20 clicks, of an object that is done
    earlier its last one.
    """
    table = {}
    for decision in dict.fromkeys(each.decision for each in results):
        curves = [each.ious for each in results if each.decision == decision]
        row: dict[str, Any] = {"objects": len(curves)}
        for target in TARGETS:
            needed, percent = [clicks_needed(ious, target) for ious in curves], round(100 * target)
            row[f"noc{percent}"] = float(np.mean(needed))
            row[f"nof{percent}"] = sum(failed(ious, target) for ious in curves)
            row[f"at_limit{percent}"] = sum(count == LIMIT for count in needed)
        row["iou"] = np.mean([continued(ious) for ious in curves], 0).tolist()
        table[decision] = row
    return table


def write_report(out: Path, content: dict[str, Any], results: Sequence[ObjectResult]) -> None:
    """OUT/results.json, objects.csv, curve.json and curve.png; `content` holds the figures of `summarize`."""
    write_json(out / "results.json", content)
    header = ["image", "object", "pixels", "decision", *(f"noc{round(100 * target)}" for target in TARGETS)]
    header += [f"reaches{round(100 * target)}" for target in TARGETS] + [f"iou{k}" for k in range(1, LIMIT + 1)]
    rows = []
    for each in results:
        ious: list[float | None] = [*each.ious, *[None] * (LIMIT - len(each.ious))]
        reached = [int(not failed(each.ious, target)) for target in TARGETS]
        counts = [clicks_needed(each.ious, target) for target in TARGETS]
        rows.append([each.image, each.object, each.pixels, each.decision, *counts, *reached, *ious])
    write_csv(out / "objects.csv", header, rows)
    curves = {name: row["iou"] for name, row in content["decisions"].items()}
    write_json(out / "curve.json", {"clicks": list(range(1, LIMIT + 1)), "iou": curves})
    lines = {name: [(k, 100 * iou) for k, iou in enumerate(curve, 1)] for name, curve in curves.items()}
    title = f"Mean IoU over clicks: {content['data']}, {content['protocol']} protocol"
    draw_lines(lines, title, out / "curve.png", Axis("clicks", "IoU %"))


def noc_table(content: Mapping[str, Any]) -> str:
    """The figures of all decisions as a Markdown table."""
    rows = []
    for name, row in content["decisions"].items():
        rows.append(
            (
                name,
                f"{row['noc85']:.2f}",
                f"{row['noc90']:.2f}",
                f"{row['nof85']} ({row['at_limit85']})",
                f"{row['nof90']} ({row['at_limit90']})",
                f"{100 * row['iou'][0]:.1f}",
                f"{100 * row['iou'][-1]:.1f}",
            )
        )
    header = ("decision", "NoC@85", "NoC@90", "NoF@85 (*)", "NoF@90 (*)", "IoU 1 click %", f"IoU {LIMIT} %")
    objects = max(row["objects"] for row in content["decisions"].values())
    images = f"{content['images']} of {content['of_images']} images"
    return markdown(header, rows) + (
        f"\n{content['data']}, {objects} objects in {images}, {content['protocol']} protocol, at most {LIMIT} clicks."
        "\n(*) objects that never get there (objects whose number of clicks is the limit)."
    )
