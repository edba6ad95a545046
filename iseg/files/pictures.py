"""Pictures of results: overlay, heat map, prompt marks, side-by-side panel, frames of the refinement."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from iseg import masks
from iseg.files.export import voc_palette
from iseg.files.sheet import PAPER, sheet
from iseg.marks import Marks, Point

RGB = NDArray[np.uint8]

TILE_AREA = 280 * 280  # pixels of one picture in a panel, whatever its aspect
LONGEST = 1400  # longest side of a picture in a panel
POSITIVE, NEGATIVE = (0, 200, 83), (229, 57, 53)


def colorize(mask: NDArray, palette: RGB | None = None) -> RGB:
    """Labels (H, W), 0..255 -> RGB (H, W, 3) uint8 in a palette (256, 3), VOC's by default."""
    return (voc_palette() if palette is None else palette)[np.asarray(mask).astype(np.intp)]


def outline_reach(size: tuple[int, ...]) -> int:
    """Pixels to each side of a border that its outline covers, in a picture of size (H, W)."""
    return max(1, round(min(size[:2]) / 200))


def overlay(
    image: RGB, mask: NDArray, opacity: float = 0.5, palette: RGB | None = None, reach: int | None = None
) -> RGB:
    """RGB image (H, W, 3) with its labels (H, W) laid over it, each region with a light outline.

    opacity: of the regions, in [0, 1]; the background stays as it is. palette: see `colorize`. reach: of the outline,
    `outline_reach` by default; for a part of a larger picture, that picture's.
    """
    labels = np.asarray(mask).astype(np.uint8)
    blended = np.rint((1 - opacity) * image + opacity * colorize(labels, palette)).astype(np.uint8)
    laid = np.where(labels[..., None] > 0, blended, image)
    width = outline_reach(labels.shape) if reach is None else reach
    kernel = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    border = (cv2.dilate(labels, kernel) != cv2.erode(labels, kernel)) & (labels > 0)
    laid[border] = (0.25 * colorize(labels, palette)[border] + 0.75 * 255).astype(np.uint8)
    return laid


def heat_map(scores: NDArray, image: RGB | None = None) -> RGB:
    """Scores (H, W) in [0, 1] as colours from dark blue to red (H, W, 3), over the grey image (H, W, 3) if given."""
    levels = np.rint(np.clip(scores, 0, 1) * 255).astype(np.uint8)
    heat = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_TURBO), cv2.COLOR_BGR2RGB)
    if image is None:
        return heat
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None]
    return np.rint(0.4 * grey + 0.6 * heat).astype(np.uint8)


def map_picture(maps: NDArray, size: tuple[int, int]) -> RGB:
    """Maps (K, h, w) of any range -> one RGB picture (H, W, 3) of size = (H, W).

    One map is a heat map. Of several, each brought to [0, 1], the strongest shows at every position: its class's VOC
    colour, the whiter the weaker.
    """
    unit = masks.min_max(torch.from_numpy(maps).float()).numpy()
    large = np.stack([cv2.resize(each, size[::-1], interpolation=cv2.INTER_LINEAR) for each in unit])
    if len(large) == 1:
        return heat_map(large[0])
    strongest, value = large.argmax(0), large.max(0)[..., None]
    return np.rint(255 * (1 - value) + colorize(strongest + 1) * value).astype(np.uint8)


def draw_marks(image: RGB, marks: Marks, size: tuple[int, int]) -> RGB:
    """The image (H, W, 3) resized to size = (height, width) with the marks on it: green, negative points red."""
    scale = 4  # drawn large, then reduced: smooth edges
    (height, width), (rows, columns) = size, image.shape[:2]
    layer = Image.new("RGBA", (width * scale, height * scale))
    draw = ImageDraw.Draw(layer)
    thick = max(2.0, min(height, width) / 110) * scale

    def at(points: Sequence[Point], middle: float = 0.5) -> list[Point]:
        return [((x + middle) * width * scale / columns, (y + middle) * height * scale / rows) for x, y in points]

    for colour, stroke in ((PAPER, thick * 1.8), (POSITIVE, thick)):
        for line in marks.lines:
            draw.line(at(line), fill=colour, width=round(stroke), joint="curve")
        for box in marks.boxes:
            corners = at([(min(box[::2]), min(box[1::2])), (max(box[::2]), max(box[1::2]))], 0)
            draw.rectangle(corners, outline=colour, width=round(stroke))
    ends = [point for line in marks.lines for point in (line[0], line[-1])]
    dots = [(point, POSITIVE) for point in at([*marks.points, *ends])]
    for point, colour in dots + [(point, NEGATIVE) for point in at(marks.negative)]:
        draw.circle(point, 2.2 * thick, fill=PAPER)
        draw.circle(point, 1.6 * thick, fill=colour)
    layer = layer.resize((width, height), Image.Resampling.LANCZOS)
    resized = Image.fromarray(_scaled(image, size)).convert("RGBA")
    return np.array(Image.alpha_composite(resized, layer).convert("RGB"))


def panel(
    image: RGB, seeds: NDArray, maps: NDArray, mask: NDArray, names: Sequence[str], marks: Marks | None = None
) -> Image.Image:
    """Side by side: image | seed map | refined map | mask | overlay, with titles and a legend of the classes.

    Args:
        image: (H, W, 3) uint8 RGB.
        seeds, maps: (K, h, w) maps before and after refinement.
        mask: (H, W) labels.
        names: of the K classes.
        marks: what the user pointed at, drawn on the image.
    """
    size = _tile_size(image.shape[:2])
    labels = _scaled_labels(mask, size)
    tiles = [
        ("image", draw_marks(image, marks or Marks(), size)),
        ("seed map", map_picture(seeds, size)),
        ("refined map", map_picture(maps, size)),
        ("mask", colorize(labels)),
        ("overlay", overlay(_scaled(image, size), labels)),
    ]
    return sheet(tiles, names)


def regions_panel(image: RGB, labels: NDArray, names: Sequence[str]) -> Image.Image:
    """Side by side: image | regions | overlay, with a legend; labels (H, W) 1..K are the K names."""
    size = _tile_size(image.shape[:2])
    small, shown = _scaled(image, size), _scaled_labels(labels, size)
    return sheet([("image", small), ("regions", colorize(shown)), ("overlay", overlay(small, shown))], names)


def refinement_frames(
    image: RGB, trajectory: NDArray, masks: Sequence[NDArray], names: Sequence[str]
) -> list[Image.Image]:
    """One picture per iteration: the refined map beside the overlay it gives.

    Args:
        image: (H, W, 3) uint8 RGB.
        trajectory: (N + 1, K, h, w) maps after 0..N iterations.
        masks: N + 1 label maps (H, W).
        names: of the K classes.
    """
    size = _tile_size(image.shape[:2])
    small, last = _scaled(image, size), len(trajectory) - 1
    frames = []
    for step, (maps, mask) in enumerate(zip(trajectory, masks, strict=True)):
        tiles = [
            (f"iteration {step} of {last}", map_picture(maps, size)),
            ("overlay", overlay(small, _scaled_labels(mask, size))),
        ]
        frames.append(sheet(tiles, names))
    return frames


def _tile_size(size: tuple[int, ...]) -> tuple[int, int]:
    """(H, W) of the picture of an image in a panel: the same area for every aspect, no side too long or empty."""
    height, width = size[:2]
    scale = min((TILE_AREA / (height * width)) ** 0.5, LONGEST / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def _scaled(image: RGB, size: tuple[int, int]) -> RGB:
    return np.array(Image.fromarray(image).resize(size[::-1], Image.Resampling.LANCZOS))


def _scaled_labels(mask: NDArray, size: tuple[int, int]) -> NDArray[np.uint8]:
    return np.array(Image.fromarray(np.asarray(mask).astype(np.uint8)).resize(size[::-1], Image.Resampling.NEAREST))
