"""Numbers and other options of the command line, and prompts: points, boxes, words, masks, files of prompts."""

import json
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from PIL import Image

from scripts.fuzz.case import Case, segment
from scripts.fuzz.files import HUGE, text_bytes
from scripts.fuzz.images import good_image, write

GOOD = {"iterations": ("0", "3", "010"), "entropy": ("0", "0.1", "1e-2"), "background": ("power", "0.3", "1"),
        "enhancement": ("1", "2.5"), "cluster": ("true", "false"), "resize": ("opencv", "torch"),
        "working_size": ("64", "null"), "cross_weights": ("{12: 1}",), "save": ("mask", "mask,heat,scores", "panel"),
        "dtype": ("float32", "bfloat16", "mixed"), "device": ("cpu", "auto"), "context": ("a b", "0x10")}  # fmt: skip
BAD = ("0x10", "0b1", "1:30", "9" * 400, "9" * 5000, "-9" + "9" * 400, "nan", "inf", "-1", "1e999", "1_0x",
    "x" * 5000,
       "\x1b[31m", "\u202e", "{", "[", "[1, 2]", "{12: -1}", "{12: 1e308, 24: 1e308}", "{99: 1}", "{12: nan}", "1,5",
       "", "1/0", "!!int x", "&a [*a]", "{classes}", "\ud800")  # fmt: skip
CHOICES = (
    "device",
    "dtype",
    "backbone",
    "vae",
    "clip",
    "recipe",
    "model",
    "config",
    "animation",
    "save",
    "resume",
    "nothing",
)
WRONG = ("meta", "cuda:99", "x", "x" * 5000, "a/b/c", "\x1b]0;x\x07", "/dev/null", ".", "", "a/" + "b" * 3000,
    "tiny,tiny",
         "\udcff")  # fmt: skip
BAD_POINTS = ("", "5", "5,b", "nan,5", "5,inf", "1e9,1", "-1,5", "1,2,3", "9" * 400 + ",1", ",", "5;6", "\x1b,1",
    "٣,x", "0x1,2",
              "99,1", "1,99")  # fmt: skip
BAD_BOXES = ("", "1,2,3", "1,2,3,x", "5,5,5,9", "0,0,99,99", "-1,0,5,5", "nan,0,5,5", "1e400,1,2,3", "1,2,3,4,5",
             "0,0," + "9" * 5000 + ",1", "\x1b[0m")  # fmt: skip
WORDS = ("", " ", ";", "cat;;dog", "cat; Cat", "unicorn", "!!", "x" * 5000, "cat;" * 300, "\x1b[31m", "c\0t",
    "\udcff", "\u202ecat",
         "cat\nunicorn")  # fmt: skip


def number(rng: Random, folder: Path) -> Case:
    """Options of the command, well and badly given."""
    picture = good_image(rng, folder)
    way = rng.randrange(4)
    if way == 0:
        chosen = rng.sample(sorted(GOOD), rng.randint(1, 3))
        given = [part for key in chosen for part in (f"--{key}", rng.choice(GOOD[key]))]
        return Case(f"good {given}"[:60], "good", **segment(folder, picture, "--classes", "cat", *given))
    if way < 3:
        key, value = rng.choice(("iterations", "entropy", "cluster_rounds", "cross_weights", "self_heads",
            "background",
                                 "entropy_clamp_max", "working_size", "cluster")), rng.choice(BAD)  # fmt: skip
        taken = {"self_heads": ("[1, 2]",), "background": ("-0",)}.get(key, ())
        sort = "either" if value in taken or value == "" else "bad"
    else:
        key, value = rng.choice(CHOICES), rng.choice(WRONG)
        sort = "bad" if value else "either"
    option = [f"--{key}={value}"] if rng.random() < 0.8 else [f"--{key}", value]
    given = [str(picture), "--classes", "cat", *option]
    return Case(f"--{key} {value[:24]!r}", sort, **segment(folder, *given))  # type: ignore[arg-type]


def prompt(rng: Random, folder: Path) -> Case:
    """What to segment, on the command line or in a file; the picture has 40 x 24 pixels."""
    picture, way = good_image(rng, folder), rng.randrange(6)
    if way == 0:
        good = rng.choice(
            (
                ["--points", "5,6 7,8"],
                ["--points=5,6", "--negative", "1,1"],
                ["--line", "1,1 30,20"],
                ["--box", "1,1,30,20"],
                ["--boxes", "1,1,9,9 10,1,30,20", "--names", "a;b"],
                ["--classes", "cat;dog"],
            )
        )
        return Case(f"good {good}"[:50], "good", **segment(folder, picture, *good))
    if way == 1:
        key, value = rng.choice(("points", "line", "negative")), rng.choice(BAD_POINTS)
        more = ["--points", "1,1"] if key == "negative" else []
        return Case(f"--{key} {value[:20]!r}", "bad", **segment(folder, picture, *more, f"--{key}={value}"))
    if way == 2:
        key, value = rng.choice(("box", "boxes")), rng.choice(BAD_BOXES)
        return Case(f"--{key} {value[:20]!r}", "bad", **segment(folder, picture, f"--{key}={value}"))
    if way == 3:
        value = rng.choice(WORDS)
        return Case(f"--classes {value[:20]!r}", "bad", **segment(folder, picture, f"--classes={value}"))
    if way == 4:
        path, good_mask = _mask(rng, folder)
        return Case(f"--mask {path.name}", "good" if good_mask else "bad", **segment(folder, picture, "--mask", path))
    content, ending, sort = _prompts(rng, picture.name)
    path = write(folder / f"p.{ending}", text_bytes(rng, content))
    return Case(f"--prompts {content[:30]!r}", sort, **segment(folder, "--prompts", path))  # type: ignore[arg-type]


def _mask(rng: Random, folder: Path) -> tuple[Path, bool]:
    way, path = rng.randrange(5), folder / "mask.bmp"
    size = (24, 40) if way != 1 else (rng.randint(1, 23), 40)
    inside = np.zeros(size, np.uint8)
    inside[3:15, 5:20] = 255 * (way != 2)
    Image.fromarray(inside).save(path)
    if way == 3:
        path.write_bytes(path.read_bytes()[:30])
    if way == 4:
        return folder / rng.choice(("none.png", "\x1b.png", "x" * 400 + ".png")), False
    return path, way == 0


def _prompts(rng: Random, image: str) -> tuple[str, str, str]:
    entry: Any = rng.choice(({"classes": "cat"}, {"classes": ["cat"]}, {"points": [[5, 6]]}, {"box": [1, 1, 20, 20]}))
    if rng.random() < 0.3:
        return json.dumps([{"image": image, **entry}]), "json", "good"
    wrong: Any = rng.choice(({}, {"classes": 7}, {"points": 7}, {"points": [[1]]}, {"points": [[10**400, 1]]},
        {"box": "1,2"},
                             {"colour": 1}, {"classes": "cat", "box": "1,1,9,9"}, {"mask": "none.png"}, {"mask": 7},
                             {"classes": [None]}, {"points": [[float("nan"), 1]]},
                             {"classes": "x" * 9000}))  # fmt: skip
    name: Any = rng.choice((image, image, 7, "", "a\0b", "x" * 5000, None, "\x1b[31m.png"))
    texts = [json.dumps([{"image": name, **wrong}]), json.dumps({str(name): wrong}), HUGE, "", "[", "7", "null",
        "[7]", "{}",
             '{"a": 1e999999}', "[" + "1" * 5000 + "]"]  # fmt: skip
    rows = [f"image,points\n{image},5\n", f"image,image\n{image},1\n", "picture\n", "", f"image,classes\n{image},\n",
            "image,classes\n" + "x" * 200_000 + ",cat\n", f"image,box\n{image},1,2,3,4\n", '"\n' * 9,
            "\0\n"]  # fmt: skip
    return (rng.choice(texts), "json", "bad") if rng.random() < 0.6 else (rng.choice(rows), "csv", "bad")
