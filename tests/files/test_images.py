"""Images as users have them come out upright, RGB, uint8."""

import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from iseg.errors import InputError
from iseg.files import images


def corner_image(height: int = 20, width: int = 34) -> np.ndarray:
    image = np.full((height, width, 3), 30, np.uint8)
    image[: height // 2, : width // 2] = (200, 100, 50)
    return image


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, orientation):
    upright = corner_image()
    # how a camera held that way stores the same scene
    undo = {1: lambda a: a, 2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1],
            5: lambda a: a.transpose(1, 0, 2), 6: lambda a: np.rot90(a, 1), 7: lambda a: np.rot90(a[:, ::-1], -1)[:, :],
            8: lambda a: np.rot90(a, -1)}[orientation]  # fmt: skip
    stored = np.ascontiguousarray(undo(upright))
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "photo.png"
    Image.fromarray(stored).save(path, exif=exif)
    loaded = images.read_image(path)
    assert loaded.shape == upright.shape
    if orientation != 7:
        assert np.array_equal(loaded, upright)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "HSV", "YCbCr"])
def test_every_mode_becomes_rgb(mode):
    grey = Image.fromarray(corner_image()).convert("L")
    if mode == "I;16":
        picture = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    else:
        picture = grey.convert("RGB").convert(mode)
    loaded = images.read_image(picture)
    assert loaded.shape == (20, 34, 3)
    assert loaded.dtype == np.uint8
    if mode not in ("1", "P", "CMYK", "YCbCr"):
        assert np.abs(loaded[..., 0].astype(int) - np.asarray(grey)).max() <= 1


def test_16_bit_png_keeps_its_brightness(tmp_path):
    values = np.linspace(0, 65535, 12 * 20).reshape(12, 20).astype(np.uint16)
    Image.fromarray(values).save(tmp_path / "deep.png")
    assert np.abs(images.read_image(tmp_path / "deep.png")[..., 1].astype(float) - values / 257).max() <= 0.5


def test_transparency_is_laid_on_white():
    rgba = np.zeros((6, 9, 4), np.uint8)
    rgba[:, :4] = (255, 0, 0, 255)
    loaded = images.read_image(rgba)
    assert loaded[0, 0].tolist() == [255, 0, 0]
    assert loaded[0, 8].tolist() == [255, 255, 255]


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from(["opencv", "torch"]))
@settings(max_examples=30, deadline=None)
def test_square_is_in_range_and_keeps_constants(height, width, resize):
    square = images.to_square(np.full((height, width, 3), 51, np.uint8), 16, resize)
    assert square.shape == (3, 16, 16)
    assert torch.allclose(square, torch.full_like(square, 0.2))


def test_both_resizes_agree_when_enlarging():
    image = np.random.default_rng(0).integers(0, 256, (9, 14, 3), dtype=np.uint8)
    assert torch.allclose(images.to_square(image, 32, "opencv"), images.to_square(image, 32, "torch"), atol=1e-5)


def png(size: tuple[int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", size).save(buffer, "PNG")
    return buffer.getvalue()


def noise_png() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an image"),
        (b"hello", "not an image"),
        (noise_png()[:60], "corrupt|not an image"),
        (noise_png()[:-200], "corrupt"),
        (png((12_000, 12_000)), "too large"),
        (png((20_000, 20_000)), "too large"),
    ],
    ids=["empty", "text", "head", "truncated", "large", "bomb"],
)
def test_bad_files_are_named(tmp_path, content, message):
    path = tmp_path / "bad.png"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as raised:
        images.read_image(path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.zeros((4, 4, 2), np.uint8), "2 channels"),
        (np.zeros((4,), np.uint8), "expected"),
        (np.zeros((0, 4, 3), np.uint8), "expected"),
        (np.full((4, 4, 3), 2.0), "values in 0..1"),
        (np.zeros((4, 4, 3), np.complex64), "expected"),
        (5, "image is a int"),
    ],
)
def test_bad_values(value, message):
    with pytest.raises(InputError, match=message):
        images.read_image(value)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(InputError, match="no such image"):
        images.read_image(tmp_path / "none.png")
    with pytest.raises(InputError, match="is not a file: expected an image file"):
        images.read_image(tmp_path)
