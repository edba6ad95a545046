"""How far two results of one picture are apart, and how far they may be."""

import numpy as np

from iseg.cli.check.report import Finding, Verdict
from iseg.results import Segmentation

MAPS, LABELS, WRONG = 5.0, 99.0, 95.0  # %: most difference of maps, least equal labels; below the last it FAILED


def agreement(ours: Segmentation, reference: Segmentation) -> Finding:
    """Largest difference of the refined maps, in % of each map's maximum, and share of equal labels."""
    pairs = zip(ours.maps, reference.maps, strict=True)
    maps = 100 * max(float(np.abs(own - other).max() / other.max()) for own, other in pairs)
    labels = 100 * float((ours.mask == reference.mask).mean())
    verdict: Verdict = "FAILED"  # of NaN too, which no comparison holds for
    if labels >= WRONG and maps >= 0:
        verdict = "ok" if labels >= LABELS and maps <= MAPS else "warning"
    text = f"maps differ by at most {maps:.2g} % of their maximum (limit {MAPS:g})"
    values = {"maps %": maps, "labels %": labels, "limits": {"maps %": MAPS, "labels %": LABELS}}
    return Finding(f"{text}, {labels:.2f} % of labels are equal (limit {LABELS:g})", verdict, values)
