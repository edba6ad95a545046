"""The data sets of interactive segmentation: their images, and the objects that a truth shows."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from iseg.data.folder import by_stem
from iseg.data.items import IGNORE, Item
from iseg.data.layout import read_names, require
from iseg.data.read import read_label, read_stored
from iseg.errors import InputError
from iseg.extras import import_extra
from iseg.files.images import decoding
from iseg.noc.protocol import Protocol, Truth
from iseg.pieces import each_piece

TWO_NAMED = "have one name: expected one of them"
UNSURE = 128  # in the masks of GrabCut and Berkeley: neither object nor background

Labels = NDArray[np.int64]


@dataclass(frozen=True)
class DataSet:
    """A layout on disk.

    Attributes:
        find: (root, folder of masks or None, protocol) -> items, each with image and truth.
        read: (path of a truth, protocol) -> labels (H, W), ids > 0 are objects, and ignored pixels (H, W).
    """

    find: Callable[[Path, Path | None, Protocol], list[Item]]
    read: Callable[[Path, Protocol], tuple[Labels, NDArray[np.bool_]]]


def find_images(kind: str, root: Path, masks: Path | None, protocol: Protocol) -> list[Item]:
    """The images of a data set in the order of their names; one of `SETS`. Raises InputError with the expected tree."""
    if masks is not None and kind != "folder":
        raise InputError(f"--masks was given for the data set {kind}: expected it with folder alone")
    return SETS[kind].find(root, masks, protocol)


def read_objects(
    kind: str, item: Item, protocol: Protocol, pieces: float | None = None
) -> tuple[NDArray[np.uint8], dict[int, Truth]]:
    """An image (H, W, 3) uint8 as it is stored, and its objects {id: truth}.

    pieces: with it an object is not all of an id, but each connected piece of one that covers at least this share of
    the image (there may be none); they are numbered 1, 2, ... in the order of the ids.

    Raises InputError naming a file that cannot be used, and for a truth that shows no object.
    """
    assert item.label is not None
    image = read_stored(item.image)
    labels, ignored = SETS[kind].read(item.label, protocol)
    if labels.shape != image.shape[:2]:
        raise InputError(
            f"{item.label}: has {labels.shape[1]}x{labels.shape[0]} pixels, its image {item.image.name} has "
            f"{image.shape[1]}x{image.shape[0]}"
        )
    ids = [int(each) for each in np.unique(labels[~ignored]) if each > 0]
    if not ids:
        raise InputError(f"{item.label}: shows no object: expected ids above 0 that are not the one to be ignored")
    if pieces is not None:
        return image, {k: Truth(region, ignored) for k, region in enumerate(each_piece(labels, ids, pieces), 1)}
    return image, {each: Truth(labels == each, ignored) for each in ids}


def _paired(images: Path, masks: Path) -> list[Item]:
    """Images with the mask of their name; a mask may have another ending."""
    truths, items = by_stem(masks, TWO_NAMED), []
    for stem, path in by_stem(images, TWO_NAMED).items():
        if stem not in truths:
            raise InputError(f"{path}: has no mask in {masks}: expected a file called {stem} there")
        items.append(Item(stem, path, truths[stem]))
    return items


def _pairs(title: str, images: str, masks: str) -> Callable[[Path, Path | None, Protocol], list[Item]]:
    def find(root: Path, _: Path | None, __: Protocol) -> list[Item]:
        origin = f"of {title} as the evaluations of RITM and f-BRS hand it on"
        require(title, root, [(f"{images}/", origin), (f"{masks}/", origin)])
        return _paired(root / images, root / masks)

    return find


def _find_folder(root: Path, masks: Path | None, _: Protocol) -> list[Item]:
    if masks is not None:
        return _paired(root, masks)
    require("the folder", root, [("images/", "the images"), ("masks/", "a label PNG for each, or give --masks")])
    return _paired(root / "images", root / "masks")


def _find_sbd(root: Path, _: Path | None, protocol: Protocol) -> list[Item]:
    truths = "cls" if protocol == "m2n2" else "inst"
    origin = "from benchmark.tgz, folder benchmark_RELEASE/dataset"
    require("SBD val", root, [("img/", origin), (f"{truths}/", origin), ("val.txt", origin)])
    names = sorted(read_names(root / "val.txt"))
    return [Item(name, root / "img" / f"{name}.jpg", root / truths / f"{name}.mat") for name in names]


def _find_voc(root: Path, _: Path | None, __: Protocol) -> list[Item]:
    base = root / "VOCdevkit" / "VOC2012"
    base = base if base.is_dir() else root
    origin = "from the VOC2012 devkit (VOCtrainval_11-May-2012.tar)"
    names_file = "ImageSets/Segmentation/val.txt"
    require("VOC2012 val", base, [("JPEGImages/", origin), ("SegmentationObject/", origin), (names_file, origin)])
    return [Item(name, base / "JPEGImages" / f"{name}.jpg", base / "SegmentationObject" / f"{name}.png")
            for name in sorted(read_names(base / names_file))]  # fmt: skip


def _brightest(path: Path) -> NDArray[np.uint8]:
    """The largest channel (H, W) of a mask that may be stored in colours."""
    with decoding(path), Image.open(path) as image:
        return np.asarray(image.convert("RGB")).max(2)


def _read_unsure(path: Path, protocol: Protocol) -> tuple[Labels, NDArray[np.bool_]]:
    values = _brightest(path)
    if protocol == "m2n2":
        return (values >= UNSURE).astype(np.int64), np.zeros(values.shape, bool)
    return (values > UNSURE).astype(np.int64), values == UNSURE


def _read_any(path: Path, _: Protocol) -> tuple[Labels, NDArray[np.bool_]]:
    values = _brightest(path)
    return (values > 0).astype(np.int64), np.zeros(values.shape, bool)


def _read_ids(path: Path, protocol: Protocol) -> tuple[Labels, NDArray[np.bool_]]:
    """Palette indices or grey values as they are stored; 255 is no object, and ignored except by M2N2's protocol."""
    labels = read_label(path, IGNORE).astype(np.int64)
    unknown = labels == IGNORE
    labels[unknown] = 0
    return labels, unknown if protocol == "ritm" else np.zeros(labels.shape, bool)


def _read_sbd(path: Path, protocol: Protocol) -> tuple[Labels, NDArray[np.bool_]]:
    """The instances of a .mat file; for M2N2's protocol one object per class."""
    key = "GTcls" if protocol == "m2n2" else "GTinst"
    loadmat = import_extra("scipy.io", "data", "SBD").loadmat
    try:
        labels = np.asarray(loadmat(path, squeeze_me=True, struct_as_record=False)[key].Segmentation)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, NotImplementedError) as error:
        raise InputError(f"{path}: not readable as a .mat file with {key}.Segmentation: {error}") from None
    if labels.ndim != 2 or labels.dtype.kind not in "iu":
        raise InputError(f"{path}: {key}.Segmentation is {labels.dtype} of shape {labels.shape}: expected (H, W) ids")
    return labels.astype(np.int64), np.zeros(labels.shape, bool)


SETS = {
    "grabcut": DataSet(_pairs("GrabCut", "data_GT", "boundary_GT"), _read_unsure),
    "berkeley": DataSet(_pairs("Berkeley", "images", "masks"), _read_unsure),
    "davis": DataSet(_pairs("DAVIS", "img", "gt"), _read_any),
    "sbd": DataSet(_find_sbd, _read_sbd),
    "voc": DataSet(_find_voc, _read_ids),
    "folder": DataSet(_find_folder, _read_ids),
}
