"""Rebuild the pictogram folders from their packages on the npm registry.

    python -m scripts.train_tiny.fetch              # the training styles, kept in pictograms/
    python -m scripts.train_tiny.fetch --openmoji      # the unseen style: for testing only, git-ignored

Needs `npm` on the path and the Python package `cairosvg` (SVG to bitmap). Training and rendering need neither, since
the four training styles are kept in the repository as small WebP files.
"""

import argparse
import io
import json
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from scripts.train_tiny.sprites import OPENMOJI_FOLDER, PICTOGRAM_FOLDER, read_words

SIZE = 112  # pixels of the longer side of what is shipped
PACKAGES = {
    "fluent": "@lobehub/fluent-emoji-3d@1.1.0",
    "fluent-flat": "@iconify-json/fluent-emoji-flat@1.2.6",
    "noto": "@iconify-json/noto@1.2.9",
    "noto-v1": "@iconify-json/noto-v1@1.2.5",
    "openmoji": "openmoji@17.0.0",
}


def unpack(package: str, folder: Path) -> Path:
    """Download an npm package by name and version into `folder` and return its contents' folder."""
    listing = subprocess.run(["npm", "pack", "--json", package], cwd=folder, check=True, capture_output=True, text=True)
    archive = folder / json.loads(listing.stdout)[0]["filename"]
    target = folder / archive.stem
    with tarfile.open(archive) as tar:
        tar.extractall(target, filter="data")
    return target / "package"


def from_svg(svg: str) -> Image.Image:
    """Draw an SVG four times too large and shrink it: cairo's own small sizes are rougher."""
    import cairosvg

    png = cairosvg.svg2png(bytestring=svg.encode(), output_width=4 * SIZE, output_height=4 * SIZE)
    return Image.open(io.BytesIO(png)).convert("RGBA")


def iconify_pictures(package: Path, names: dict[str, str], codes: list[str]) -> Iterator[tuple[str, Image.Image]]:
    """Yield (code, picture) of an iconify set; `names` maps code points to icon names."""
    icons = json.loads((package / "icons.json").read_text())
    for code in codes:
        name = names.get(code)
        while name is not None and name in icons.get("aliases", {}):
            name = icons["aliases"][name]["parent"]
        if name is None or name not in icons["icons"]:
            continue
        icon = icons["icons"][name]
        width, height = icon.get("width", icons.get("width", 16)), icon.get("height", icons.get("height", 16))
        spaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
        body = icon["body"].replace(" href=", " xlink:href=")
        yield code, from_svg(f'<svg {spaces} viewBox="0 0 {width} {height}">{body}</svg>')


def file_pictures(folder: Path, suffix: str, codes: list[str]) -> Iterator[tuple[str, Image.Image]]:
    """Yield (code, picture) of a set that holds one file per code point, with or without the variation selector."""
    files = {path.stem.lower(): path for path in folder.glob(f"*{suffix}")}
    for code in codes:
        path = files.get(code) or files.get(f"{code}-fe0f")
        if path is None:
            continue
        yield code, from_svg(path.read_text()) if suffix == ".svg" else Image.open(path).convert("RGBA")


def pictures(style: str, scratch: Path, codes: list[str]) -> Iterator[tuple[str, Image.Image]]:
    """Yield (code, picture) for every code point that the style has."""
    package = unpack(PACKAGES[style], scratch)
    if style == "fluent":
        return file_pictures(package / "assets", ".webp", codes)
    if style == "openmoji":
        return file_pictures(package / "color" / "svg", ".svg", codes)
    # Version 1 of Noto comes without a table of code points, but shares the icon names of the present one.
    table = unpack(PACKAGES["noto"], scratch) if style == "noto-v1" else package
    return iconify_pictures(package, json.loads((table / "chars.json").read_text()), codes)


def save(picture: Image.Image, path: Path) -> None:
    """Crop to what is drawn, shrink to `SIZE`, write as WebP through a temporary file."""
    picture = picture.crop(picture.getchannel("A").point(lambda a: 255 * (a > 8)).getbbox())
    picture.thumbnail((SIZE, SIZE), Image.Resampling.LANCZOS)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    picture.save(temporary, format="WEBP", quality=80, method=6)
    os.replace(temporary, path)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--openmoji", action="store_true", help="fetch the unseen test style instead")
    options = parser.parse_args(arguments)
    codes = [code for word in read_words() for code in word.codes]
    styles = ["openmoji"] if options.openmoji else [style for style in PACKAGES if style != "openmoji"]
    for style in styles:
        folder = OPENMOJI_FOLDER if style == "openmoji" else PICTOGRAM_FOLDER / style
        with tempfile.TemporaryDirectory() as scratch:
            found = []
            for code, picture in pictures(style, Path(scratch), codes):
                save(picture, folder / f"{code}.webp")
                found.append(code)
        missing = " ".join(sorted(set(codes) - set(found)))
        print(f"{style}: {len(found)} of {len(codes)} pictograms in {folder}; missing: {missing or 'none'}")


if __name__ == "__main__":
    main()
