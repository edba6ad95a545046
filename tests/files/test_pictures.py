"""Pictures: colours stand for the labels, sizes fit every aspect, everything asked for is on them."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from iseg.files import export, pictures, sheet
from iseg.marks import Marks

RNG = np.random.default_rng(0)
SIZES = [(60, 90), (90, 60), (40, 1600), (1600, 40), (7, 9), (1, 1)]


def blobs(size, count):
    """`count` smooth maps (K, 16, 16) and the labels (H, W) that follow from them."""
    rows, columns = np.mgrid[:16, :16]
    centres = RNG.random((count, 2)) * 16
    maps = np.stack([np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 8) for y, x in centres]).astype(np.float32)
    row = np.arange(size[0]) * 16 // size[0]
    column = np.arange(size[1]) * 16 // size[1]
    return maps, np.where(maps.max(0) > 0.5, maps.argmax(0) + 1, 0)[row][:, column]


def photo(size):
    return RNG.integers(0, 256, (*size, 3), dtype=np.uint8)


def test_colorize_is_the_palette():
    mask = RNG.integers(0, 256, (5, 7))
    assert np.array_equal(pictures.colorize(mask), export.voc_palette()[mask])


def test_overlay_leaves_the_background_and_tints_the_inside():
    image, mask = photo((60, 90)), np.zeros((60, 90), int)
    mask[20:50, 10:40] = 3
    laid = pictures.overlay(image, mask, opacity=0.5)
    assert np.array_equal(laid[mask == 0], image[mask == 0])
    inside = laid[25:45, 15:35]
    expected = (image[25:45, 15:35].astype(float) + export.voc_palette()[3]) / 2
    assert np.abs(inside - expected).max() <= 0.5
    assert laid[20, 10:40].min() >= 191  # the outline is light
    assert np.array_equal(pictures.overlay(image, mask * 0), image)


def test_heat_map_goes_from_blue_to_red():
    heat = pictures.heat_map(np.array([[-1.0, 0.0, 0.15, 0.85, 2.0]]))[0].astype(int)
    assert np.array_equal(heat[0], heat[1])
    assert heat[2, 2] > heat[2, 0] + 50
    assert heat[3, 0] > heat[3, 2] + 50
    image = photo((4, 6))
    over = pictures.heat_map(np.zeros((4, 6)), image)
    grey = image @ [0.299, 0.587, 0.114]
    assert np.abs(over - (0.4 * grey[..., None] + 0.6 * pictures.heat_map(np.zeros((4, 6))))).max() <= 1.5


def test_map_picture_of_several_shows_the_strongest_in_its_colour():
    maps = np.zeros((2, 4, 4), np.float32)
    maps[0, :, 0], maps[1, :, 3] = 5, 1e-4  # each map has its own range
    picture = pictures.map_picture(maps, (4, 4))
    assert picture[0, 0].tolist() == [128, 0, 0]
    assert picture[0, 3].tolist() == [0, 128, 0]
    assert picture[0, 1].tolist() == [255, 255, 255]


@pytest.mark.parametrize("count", [1, 3])
def test_map_picture_takes_constant_maps(count):
    picture = pictures.map_picture(np.full((count, 4, 4), 0.2, np.float32), (6, 9))
    assert picture.shape == (6, 9, 3)
    assert (picture == picture[0, 0]).all()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("count", [1, 2, 30])
def test_panel_shows_every_class_and_stays_of_moderate_size(size, count):
    maps, mask = blobs(size, count)
    names = [f"thing {k} with a rather long name" for k in range(count)]
    page = pictures.panel(photo(size), maps, maps, mask, names)
    assert max(page.size) <= 2300
    seen = {colour for _, colour in page.getcolors(maxcolors=2**24) or []}
    assert {tuple(colour) for colour in export.voc_palette()[1 : count + 1].tolist()} <= seen


@settings(max_examples=30, deadline=None)
@example(2804, 1)
@given(st.integers(1, 3000), st.integers(1, 3000))
def test_tiles_keep_the_aspect(height, width):
    tile_height, tile_width = pictures._tile_size((height, width))
    assert 1 <= max(tile_height, tile_width) <= pictures.LONGEST
    if min(tile_height, tile_width) > 1:  # a side of one pixel may stand for less than half a pixel
        assert abs(tile_height - height * tile_width / width) <= 0.5 + 0.5 * height / width + 1


def test_legend_wraps_and_cuts_to_the_width():
    names = ["cat", "w" * 80, "potted plant", "dog"] * 5
    rows = sheet.legend_rows(names, 300)
    font = sheet.font_of_titles()
    entries = [entry for row in rows for entry in row]
    assert [k for _, k, _ in entries] == list(range(20))
    assert all(x + sheet.SWATCH + 7 + font.getlength(name) <= 301 for x, _, name in entries)
    assert entries[1][2].endswith("…")
    assert [name for _, k, name in entries if k % 4 != 1] == [name for name in names if len(name) < 80]


def test_marks_are_drawn_where_they_are():
    image = np.zeros((60, 120, 3), np.uint8)
    marks = Marks(points=[(30, 15)], negative=[(90, 45)])
    drawn = pictures.draw_marks(image, marks, (120, 240)).astype(int)
    assert drawn[31, 61].tolist() == list(pictures.POSITIVE)
    assert drawn[91, 181].tolist() == list(pictures.NEGATIVE)
    assert not drawn[60, 120].any()
    boxed = pictures.draw_marks(image, Marks(boxes=[(100, 50, 20, 10)]), (60, 120))
    rows, columns = np.nonzero(boxed.sum(2))
    assert abs(rows.min() - 10) <= 3
    assert abs(rows.max() - 50) <= 3
    assert abs(columns.min() - 20) <= 3
    assert abs(columns.max() - 100) <= 3
    lined = pictures.draw_marks(image, Marks(lines=[[(10, 30), (110, 30)]]), (60, 120))
    assert (lined[30, 10:110].sum(1) > 0).all()
    assert not lined[:15].any()


def test_refinement_has_one_frame_per_map():
    maps, mask = blobs((50, 80), 2)
    steps = np.stack([maps, maps**2, maps**4])
    frames = pictures.refinement_frames(photo((50, 80)), steps, [mask] * 3, ["cat", "dog"])
    assert len(frames) == 3
    assert len({frame.size for frame in frames}) == 1
    assert len({frame.tobytes() for frame in frames}) == 3
