"""The options of `iseg segment` beside those of the recipe."""

from dataclasses import dataclass
from typing import Literal

from iseg.cli.pixels import Numbers

EPILOG = """\
Give exactly one of --classes, --vocabulary, --points, --line, --box, --boxes, --mask, --prompts. Each image's mask is
OUT/NAME.png (indexed, 0 = background), its settings lie beside it in OUT/NAME.json; of several images OUT/summary.json
says what became of each. Exit codes: 0 all fine, 1 some images failed, 2 bad usage, 130 Ctrl-C, 143 SIGTERM."""


@dataclass(frozen=True)
class Segment:
    """What to segment, with which model, and what to save.

    Attributes:
        classes: words set apart by ";", e.g. "cat; potted plant".
        vocabulary: words set apart by ";", or a file with one per line: CLIP finds which of them each image shows,
            and these are segmented.
        maps: with vocabulary: cross labels the image first (TagCLIP) and segments these labels; clip makes a map of
            every word (CLIPer), joined adds the cross-attention to it: absent words stay absent, "sofa|couch" is one
            class of two names.
        background_words: with maps clip or joined: words set apart by ";" for what is not asked for, in place of the
            default ones.
        clip: folder or hub id of the CLIP that does so; by default the one that goes with the model.
        points: pixels "x,y x,y ..." of one object.
        negative: with points: pixels "x,y x,y ..." that do not belong to it.
        line: pixels "x,y x,y ..." of a line through one object.
        box: corners "x0,y0,x1,y1" in pixels around one object.
        boxes: "x0,y0,x1,y1 x0,y0,x1,y1 ...": each box is an object and label of its own.
        names: with boxes: what their objects are called, set apart by ";".
        mask: image file of the same size whose pixels that are not 0 (or transparent) roughly cover one object.
        prompts: JSON or CSV file with a prompt for each image; its columns are image, and any of classes, points,
            negative, line, box, boxes, names, mask, written as here. Paths start at its folder. Without IMAGE all of
            its images are segmented.
        model: tiny, sd21-base, a diffusers folder, a .safetensors file or a hub id; by default sd21-base if its
            weights are at hand, else tiny.
        backbone: row of configs/backbones/ whose layers fit a folder, file or hub id.
        recipe: "wsss/voc" or a YAML file with a section `recipe:`: defaults of the settings below.
        device: auto, cpu, cuda or mps.
        dtype: auto is float16 on cuda, float32 on mps; on the cpu bfloat16 where the processor computes in it, else
            mixed (float16 weights, float32 arithmetic).
        vae: taesd, or a folder with an AutoencoderTiny: faster and less exact than the model's own.
        size: side in pixels of the square that the model looks at, if not its own: larger finds smaller things in
            large pictures, and costs time and memory.
        out: folder of the results.
        save: mask, overlay, heat, cutout, scores, coco, panel, animation: any of them, set apart by commas.
        animation: format of the animation.
        resume: keep what is done already with the same settings. By default for folders and several images, where
            results of other settings are an error; false makes all anew.
        shard: I/N: only the I-th of N parts of the images, split by name; `iseg gather OUT` sums all parts up.
    """

    classes: str | list[str] | None = None
    vocabulary: str | list[str] | None = None
    maps: Literal["cross", "clip", "joined"] = "cross"
    background_words: str | list[str] | None = None
    clip: str | None = None
    points: Numbers | None = None
    negative: Numbers | None = None
    line: Numbers | None = None
    box: str | list[float] | None = None
    boxes: Numbers | None = None
    names: str | list[str] | None = None
    mask: str | None = None
    prompts: str | None = None
    model: str | None = None
    backbone: str | None = None
    recipe: str | None = None
    device: str = "auto"
    dtype: Literal["auto", "float32", "float16", "bfloat16", "mixed"] = "auto"
    vae: str | None = None
    size: int | None = None
    out: str = "iseg-results"
    save: str | list[str] = "mask,overlay"
    animation: Literal["webp", "gif"] = "webp"
    resume: bool | None = None
    shard: str | None = None
