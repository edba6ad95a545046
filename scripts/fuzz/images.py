"""Images and file names."""

import io
import os
import struct
import zlib
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image

from scripts.fuzz.case import Case, segment

FORMATS = {"png": "PNG", "jpg": "JPEG", "webp": "WEBP", "bmp": "BMP", "gif": "GIF", "tif": "TIFF"}
MODES = ("RGB", "RGBA", "L", "LA", "P", "1", "CMYK", "I", "F", "I;16", "YCbCr", "HSV", "LAB")
HEADS = (
    b"qoif\x00\x00\x00\x09\x00\x00\x00\x09\x03\x00",
    b"\x00\x00\x00\x1cftypavif\x00\x00\x00\x00avifmif1",
    b"BLP2\x01\x00\x00\x00\x01\x08\x08\x00" + b"\x10\x00\x00\x00" * 2,
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff\xe0\x00\x10JFIF\x00",
    b"RIFF\xff\xff\xff\xffWEBPVP8 ",
    b"GIF89a\xff\xff\xff\xff\xf7",
    b"II*\x00\x08\x00\x00\x00\xff\xff",
    b"P6\n9999999999 9999999999\n255\n",
    b"8BPS\x00\x01",
    b"DDS |\x00\x00\x00",
    b"icns\x00\x00\x10\x00",
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
)


def noise(rng: Random, width: int = 40, height: int = 24) -> np.ndarray:
    """A random picture (H, W, 3) uint8."""
    return np.random.default_rng(rng.getrandbits(32)).integers(0, 256, (height, width, 3), np.uint8)


def encoded(rng: Random, ending: str, mode: str = "RGB") -> bytes:
    """A small whole image file."""
    buffer = io.BytesIO()
    width, height = rng.randint(1, 60), rng.randint(1, 60)
    image = Image.fromarray(noise(rng, width, height))
    image = image.convert("L").convert(mode) if mode in ("I", "F", "I;16") else image.convert(mode)
    image.save(buffer, FORMATS[ending])
    return buffer.getvalue()


def write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def good_image(rng: Random, folder: Path, name: str = "good.png") -> Path:
    path = folder / name
    Image.fromarray(noise(rng)).save(path)
    return path


def image(rng: Random, folder: Path) -> Case:
    """Whole, cut, flipped, claimed or made-up image files under any ending."""
    ending = rng.choice(list(FORMATS))
    path, way = folder / f"a.{ending}", rng.randrange(7)
    if way == 0:
        data, what, sort = encoded(rng, ending), f"whole {ending}", "good"
    elif way == 1:
        whole = encoded(rng, ending)
        data, what, sort = whole[: rng.randrange(max(1, len(whole) // 3))], f"first bytes of {ending}", "either"
        sort = "bad" if len(data) < 12 else "either"
    elif way == 2:
        flipped = bytearray(encoded(rng, ending))
        for _ in range(rng.randint(1, 20)):
            flipped[rng.randrange(len(flipped))] = rng.randrange(256)
        data, what, sort = bytes(flipped), f"{ending} with other bytes", "either"
    elif way == 3:
        data, what, sort = (
            rng.choice(HEADS) + rng.randbytes(rng.randint(0, 60)),
            f"head and rubbish as {ending}",
            "either",
        )
    elif way == 4:
        data, what, sort = rng.randbytes(rng.choice((0, 1, 50, 3000))), f"random bytes as {ending}", "bad"
    elif way == 5:
        size = struct.pack(">II", *(rng.choice((0, 1, 90_000, 2**31 - 1)) for _ in range(2)))
        chunk = b"IHDR" + size + b"\x08\x02\x00\x00\x00"
        data = HEADS[3] + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
        what, sort = "PNG that claims a size", "bad"
    else:
        mode = rng.choice(MODES)
        try:
            data, what, sort = encoded(rng, ending, mode), f"{ending} of mode {mode}", "either"
        except (OSError, ValueError, KeyError):
            data, what, sort = b"", "empty file", "bad"
    write(path, data)
    return Case(what, sort, **segment(folder, path, "--classes", "cat"))  # type: ignore[arg-type]


NAMES = (
    b"\xff\xfe.png", "ü.png".encode(), b"a b.png", b"-x.png", b"a\nb.png", b"a\x1b[31m.png", b"n" * 245 + b".png",
    "\u202egnp.png".encode(), b"a;b.png", b"a'b\".png", b"$(x).png", b"a.png.png", b"a.overlay.png",
    b"coco.png", b"summary.png", b"%s%n.png", b"A.PNG", "\U0001f431.png".encode(), b"{a}.png",
    b"x" * 200 + b".jpeg.png",
)  # fmt: skip


def name(rng: Random, folder: Path) -> Case:
    """Images with strange names, in a folder or by themselves; and paths that are none."""
    inside, way = folder / "in", rng.randrange(4)
    inside.mkdir()
    if way == 0:
        given = rng.choice(("", " ", "a" * 5000, "a\0b", str(folder / "none.png"), "/dev/null", str(inside),
                            "~/x/y.png",
                            str(folder / "\x1b[31m.png"), "/proc/self/mem"))  # fmt: skip
        return Case(f"path {given[:20]!r}", "bad", **segment(folder, given, "--classes", "cat"))
    data = good_image(rng, folder).read_bytes()
    chosen = rng.sample(NAMES, rng.randint(1, 3))
    for each in chosen:
        Path(os.fsdecode(os.fsencode(inside) + b"/" + each)).write_bytes(data)
    given = str(inside) if way < 3 else os.fsdecode(os.fsencode(inside) + b"/" + chosen[0])
    return Case(f"names {chosen!r}"[:60], "good", **segment(folder, given, "--classes", "cat"))
