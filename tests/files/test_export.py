"""Results as files: what is written reads back the same, and a failed write leaves nothing."""

import json
import os
import resource

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from iseg.errors import InputError
from iseg.files import export
from iseg.files.animation import write_animation

MASK = np.random.default_rng(0).integers(0, 4, (31, 50))


def test_palette_is_that_of_voc():
    palette = export.voc_palette()
    assert palette[[0, 1, 2, 3, 8, 15, 20, 255]].tolist() == [
        [0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0], [64, 0, 0], [192, 128, 128], [0, 64, 128], [224, 224, 192]
    ]  # fmt: skip
    assert len(np.unique(palette, axis=0)) == 256


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, bool])
def test_mask_reads_back_as_labels(tmp_path, dtype):
    path = tmp_path / "new" / "a.png"
    export.write_mask(path, MASK.astype(dtype))
    with Image.open(path) as image:
        assert image.mode == "P"
        assert np.array_equal(np.array(image), MASK.astype(dtype).astype(np.uint8))
        assert (image.getpalette() or [])[3:6] == [128, 0, 0]
    assert os.listdir(path.parent) == ["a.png"]


@pytest.mark.parametrize("mask", [MASK - 1, MASK + 253, MASK * 0.5, MASK[None]])
def test_mask_refuses_what_is_no_label(tmp_path, mask):
    with pytest.raises(InputError, match="expected"):
        export.write_mask(tmp_path / "a.png", mask)
    assert not os.listdir(tmp_path)


def test_cutout_is_transparent_outside():
    image = np.random.default_rng(1).integers(1, 256, (31, 50, 3), dtype=np.uint8)
    cut = export.cutout(image, MASK == 2)
    assert cut.shape == (31, 50, 4)
    assert np.array_equal(cut[..., 3] == 255, MASK == 2)
    assert np.array_equal(cut[MASK == 2][:, :3], image[MASK == 2])
    assert not cut[MASK != 2].any()
    with pytest.raises(InputError, match=r"\(31, 50\)"):
        export.cutout(image, MASK.T == 2)


def test_scores_read_back(tmp_path):
    scores = np.random.default_rng(2).random((2, 31, 50), dtype=np.float32)
    export.write_scores(tmp_path / "s.npz", scores, ["cat", "Straße"], scores.shape[1:])
    with np.load(tmp_path / "s.npz", allow_pickle=False) as saved:
        assert saved["scores"].dtype == np.float16
        assert np.abs(saved["scores"] - scores).max() < 1e-3
        assert saved["names"].tolist() == ["cat", "Straße"]


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")  # pycocotools
def test_coco_json_decodes_to_the_mask(tmp_path):
    scores = np.stack([np.where(k + 1 == MASK, 0.25 * (k + 1), 0) for k in range(4)])
    names = ["cat", "dog", "sofa", "absent"]
    export.write_json(tmp_path / "c.json", export.coco_json(MASK, names, "a.jpg", scores))
    coco = json.loads((tmp_path / "c.json").read_text())
    assert coco["images"] == [{"id": 1, "file_name": "a.jpg", "width": 50, "height": 31}]
    assert [category["name"] for category in coco["categories"]] == names
    assert [entry["category_id"] for entry in coco["annotations"]] == [1, 2, 3]
    for entry in coco["annotations"]:
        region = entry["category_id"] == MASK
        assert np.array_equal(coco_mask.decode(entry["segmentation"]).astype(bool), region)
        rows, columns = np.nonzero(region)
        x, y = columns.min(), rows.min()
        assert entry["bbox"] == [x, y, columns.max() + 1 - x, rows.max() + 1 - y]
        assert entry["area"] == region.sum()
        assert entry["score"] == pytest.approx(0.25 * entry["category_id"])


@pytest.mark.parametrize("suffix", [".webp", ".gif"])
def test_animation_keeps_frames_and_time(tmp_path, suffix):
    frames = [Image.new("RGB", (40, 25), (60 * n, 100, 200 - 60 * n)) for n in range(4)]
    write_animation(tmp_path / f"a{suffix}", frames, milliseconds=100, hold=900)
    with Image.open(tmp_path / f"a{suffix}") as image:
        frame_count = image.n_frames  # type: ignore[attr-defined]  # only formats of many frames have it
        assert (frame_count, image.size, image.info["loop"]) == (4, (40, 25), 0)
        seen = []
        for n in range(4):
            image.seek(n)
            pixel = np.array(image.convert("RGB"))[12, 20]
            assert np.abs(np.subtract(pixel, (60 * n, 100, 200 - 60 * n))).max() < 12
            seen.append(image.info["duration"])
    if suffix == ".gif":
        assert seen == [100, 100, 100, 900]


def test_animation_refuses_other_formats_and_no_frames(tmp_path):
    with pytest.raises(InputError, match=r"a\.mp4: .*\.webp or \.gif"):
        write_animation(tmp_path / "a.mp4", [Image.new("RGB", (4, 4))])
    with pytest.raises(InputError, match="no frame"):
        write_animation(tmp_path / "a.gif", [])
    with pytest.raises(InputError, match=r"wide\.webp: cannot be written: .*16383"):
        write_animation(tmp_path / "wide.webp", [Image.new("RGB", (16400, 2))])
    assert not os.listdir(tmp_path)


def test_write_follows_the_umask(tmp_path):
    export.write_bytes(tmp_path / "a", b"x")
    umask = os.umask(0)
    os.umask(umask)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o666 & ~umask


def test_failed_write_keeps_the_earlier_file(tmp_path):
    path = tmp_path / "a.txt"
    export.write_bytes(path, b"before")

    def write_half():
        with export.atomic_path(path) as temporary:
            temporary.write_bytes(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_full_disk_is_one_line_and_leaves_nothing(tmp_path):
    """A limit on the size of files stands in for the full disk: the write fails half-way."""
    path = tmp_path / "a.bin"
    export.write_bytes(path, b"before")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(InputError, match=r"a\.bin: cannot be written: File too large$"):
            export.write_bytes(path, bytes(100_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_path_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.png").mkdir()
    for path in (tmp_path / "file" / "a.png", tmp_path / "folder.png", tmp_path / ("n" * 300 + ".png")):
        with pytest.raises(InputError, match="cannot be written") as caught:
            export.write_mask(path, MASK)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
    assert sorted(os.listdir(tmp_path)) == ["file", "folder.png"]
