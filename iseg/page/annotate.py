"""Regions as data sets want them: COCO annotations (run lengths or polygons), VOC label images, YOLO segments."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from iseg.files.export import coco_region
from iseg.page.decision import Decided
from iseg.page.objects import PageObject

FINE = 8_000_000  # pixels of a bounding box up to which polygons are traced on halves of pixels


class Categories:
    """Names -> ids: those of a class list first, with their own ids, then others as they come."""

    def __init__(self, fixed: Sequence[tuple[int, str]] = ()) -> None:
        self._ids = {name: number for number, name in fixed}

    def id_of(self, name: str) -> int:
        """The id of a name; a new name gets the next one."""
        return self._ids.setdefault(name, max(self._ids.values(), default=0) + 1)

    def entries(self) -> list[dict[str, Any]]:
        """COCO's `categories`, ids ascending."""
        return [{"id": number, "name": name} for name, number in sorted(self._ids.items(), key=lambda each: each[1])]


def annotations(
    objects: Sequence[PageObject], decided: Decided, categories: Categories, image_id: int, polygons_: bool
) -> list[dict[str, Any]]:
    """COCO annotations of the objects that have pixels; their ids are for the caller to give."""
    found = []
    for k, each in enumerate(objects):
        if not decided.areas[k]:
            continue
        region = (decided.labels == k + 1).view(np.uint8)
        entry: dict[str, Any] = {"id": 0, "image_id": image_id, "category_id": categories.id_of(each.name)}
        entry |= coco_region(region)
        if polygons_:
            entry["segmentation"] = [[float(v) for v in polygon.flatten()] for polygon in polygons(region)]
        found.append({**entry, "iscrowd": 0, "score": round(float(decided.scores[k]), 6)})
    return found


def class_labels(objects: Sequence[PageObject], decided: Decided, categories: Categories) -> NDArray[np.uint8]:
    """Labels (H, W) of the objects -> labels of their classes, 0 = background; ids over 255 become 255."""
    table = np.zeros(256, np.uint8)
    table[1 : len(objects) + 1] = [min(255, categories.id_of(each.name)) for each in objects]
    return np.asarray(cv2.LUT(decided.labels, table))


def yolo_lines(objects: Sequence[PageObject], decided: Decided, categories: Categories) -> list[str]:
    """YOLO's segment lines: class (from 0) and x y of one polygon in shares of width and height; one line per piece."""
    height, width = decided.labels.shape
    lines = []
    for k, each in enumerate(objects):
        number = categories.id_of(each.name) - 1
        for polygon in polygons((decided.labels == k + 1).view(np.uint8)) if decided.areas[k] else []:
            shares = polygon / (width, height)
            lines.append(f"{number} " + " ".join(f"{value:.6f}" for value in shares.flatten()))
    return lines


def polygons(region: NDArray[np.uint8]) -> list[NDArray[np.float64]]:
    """A region (H, W) of 0 and 1 as polygons (N, 2) of (x, y) in pixels whose union it is.

    Polygons have no holes: a piece with a hole is cut in two through it. The outline runs a quarter of a pixel within
    the border, so that a rasteriser which asks for pixel centres gives the region back.
    """
    found = []
    _, pieces, stats, _ = cv2.connectedComponentsWithStats(region, connectivity=4, ltype=cv2.CV_32S)
    for label in range(1, len(stats)):
        x, y, width, height, _ = (int(value) for value in stats[label])
        piece = (pieces[y : y + height, x : x + width] == label).view(np.uint8)
        found += [np.add(outline, (x, y)) for outline in _outlines(piece)]
    return found


def _outlines(piece: NDArray[np.uint8]) -> list[NDArray[np.float64]]:
    scale = 2 if piece.size <= FINE else 1
    fine = piece.repeat(scale, 0).repeat(scale, 1) if scale > 1 else piece
    contours, levels = cv2.findContours(fine, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    holes = [
        contour for contour, level in zip(contours, levels[0] if len(contours) else [], strict=True) if level[3] >= 0
    ]
    if not holes:
        return [(contour[:, 0] + 0.5) / scale for contour in contours if len(contour) > 2]
    column = int(holes[0][:, 0, 0].mean() / scale)
    cut = min(max(column, 1), piece.shape[1] - 1)
    left, right = polygons(np.ascontiguousarray(piece[:, :cut])), polygons(np.ascontiguousarray(piece[:, cut:]))
    return [*left, *(np.add(outline, (cut, 0)) for outline in right)]
