"""Tables of measured cases."""

import json
from pathlib import Path
from typing import Any

from iseg.files.export import write_json

LAST = ("other", "total", "new point", "new entropy")  # `other` is what no stage accounts for


def label(result: dict[str, Any]) -> str:
    """A column's name."""
    case = result["case"]
    return " ".join(
        [
            case["path"],
            case["dtype"],
            f"x{case['batch']}",
            *(["compiled"] if case["compile"] else []),
            case["vae"] or "",
        ]
    ).strip()


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table, columns aligned."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]

    def line(row: list[str]) -> str:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        return "| " + " | ".join(cells) + " |"

    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([line(head), rule, *map(line, rows)])


def stage_table(results: list[dict[str, Any]]) -> str:
    """Median milliseconds of every stage; for the networks also the share of the measured convolution peak."""
    stages = list(dict.fromkeys(stage for result in results for stage in result["stages"]))
    stages.sort(key=lambda stage: LAST.index(stage) if stage in LAST else -1)  # stable
    rows = []
    for stage in stages:
        row = [stage]
        for result in results:
            seconds = result["stages"].get(stage)
            row.append("" if seconds is None else f"{1000 * seconds:.1f}" + share(result, stage, seconds))
        rows.append(row)
    return table(["median ms (share of peak)", *map(label, results)], rows)


def share(result: dict[str, Any], stage: str, seconds: float) -> str:
    """How much of the machine's convolution rate a network's stage reaches, e.g. " (83%)"."""
    flop = result.get("flop", {}).get(stage)
    return f" ({flop / seconds / result['peaks']['convolution'] / 1e10:.0f}%)" if flop and seconds else ""


def floor(result: dict[str, Any]) -> float | None:
    """Seconds that the FLOP of the networks take at the measured convolution peak."""
    flop = sum(result.get("flop", {}).values())
    return flop / result["peaks"]["convolution"] / 1e12 if flop else None


def case_table(results: list[dict[str, Any]]) -> str:
    """Per case: total, ratio to the plain path and to the floor, memory, a GPU's busy share, rates; of one device."""
    plain = next((result["stages"]["total"] for result in results if result["case"]["path"] == "plain"), None)
    rows = []
    for result in results:
        total, least, batch = result["stages"].get("total"), floor(result), result["case"]["batch"]
        peaks = result.get("peaks", {})
        rows.append([
            label(result),
            f"{total / batch:.3f}" if total else "",
            f"{total / batch / plain:.2f}" if total and plain else "",
            f"{total / least:.2f}" if total and least else "",
            f"{sum(result.get('flop', {}).values()) / batch / 1e12:.3f}" if least else "",
            f"{result['peak RSS MB']:.0f}",
            f"{result['peak device MB']:.0f}" if "peak device MB" in result else "",
            f"{100 * result['busy']:.0f}" if result.get("busy") is not None else "",
            f"{peaks['gemm']:.3f} / {peaks['convolution']:.3f}" if peaks else "",
        ])  # fmt: skip
    head = [
        f"case on {results[0]['device']}",
        "s / image",
        "x plain",
        "x floor",
        "TFLOP / image",
        "peak RSS MB",
        "device MB",
        "busy %",
        "GEMM / conv TFLOP/s",
    ]
    return table(head, rows)


def add_to_json(path: Path, name: str, result: Any) -> None:
    """Put a result under `name` into a JSON file, keeping what else is in it."""
    content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    content[name] = result
    write_json(path, content)
