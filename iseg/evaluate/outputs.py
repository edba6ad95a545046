"""The folder of a run: masks are the checkpoint, the settings lie beside them."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from iseg.backbones import digests
from iseg.backbones.find import find_row, locate
from iseg.backbones.load import holds_half, pick_device, pick_dtype
from iseg.errors import InputError
from iseg.files.claim import FolderLock, claim
from iseg.files.export import write_json, write_mask, write_scores
from iseg.results import Segmentation

CONFIG = "config.yaml"


class Outputs:
    """OUT/masks/NAME.png, scores/NAME.npz, passes/NAME.json, asked/NAME.json and config.yaml of one variant.

    The masks have a folder of their own, so that it can be handed on as it is; passes/ has the images alone whose
    classes one prompt was too short for; asked/ says which labels of a file an image was segmented with.

    Args:
        folder: OUT.
        save_scores: keep score maps too.
    """

    def __init__(self, folder: Path, save_scores: bool = False) -> None:
        self.folder, self.save_scores = folder, save_scores
        self.lock: FolderLock | None = None

    def mask_path(self, name: str) -> Path:
        return self.folder / "masks" / f"{name}.png"

    def scores_path(self, name: str) -> Path:
        return self.folder / "scores" / f"{name}.npz"

    def passes_path(self, name: str) -> Path:
        return self.folder / "passes" / f"{name}.json"

    def asked_path(self, name: str) -> Path:
        return self.folder / "asked" / f"{name}.json"

    def open(
        self, computed: Mapping[str, Any], how: Mapping[str, Any], came_of: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Make the folder, or take up an earlier run's, and hold it until `close`.

        Args:
            computed: settings that decide the masks; an earlier run's must be the same.
            how: settings that do not; kept for the reader only.
            came_of: see `claim`.

        Returns:
            How the earlier run made the masks that are there; {} where there are none.

        Raises InputError with the differing settings if the folder holds a run with others or one is on, and for a
        folder that cannot be written.
        """
        self.lock, before = claim(self.folder / CONFIG, computed, how, self._masks, "masks", came_of)
        return before

    def close(self) -> None:
        """Let runs of other settings have the folder."""
        if self.lock is not None:
            self.lock.close()
            self.lock = None

    def names(self) -> list[str]:
        """Names of the images whose masks are there."""
        return sorted(path.stem for path in self.folder.glob("masks/*.png"))

    def _masks(self) -> int:
        return len(self.names())

    def sweep_up(self) -> None:
        """Remove what killed runs left half-written, unless another process still writes here."""
        if self.lock is None or not self.lock.alone():
            return
        for path in self.folder.glob("*/.*.tmp"):
            path.unlink(missing_ok=True)

    def finished(self, name: str, labels: Sequence[str] | None = None) -> bool:
        """Whether everything of an image was saved and, if its `labels` came from a file, with these."""
        saved = self.mask_path(name).is_file() and (not self.save_scores or self.scores_path(name).is_file())
        return saved and (labels is None or self.asked(name) == list(labels))

    def asked(self, name: str) -> list[str] | None:
        """The labels that an image was segmented with; None where that was not recorded."""
        try:
            return json.loads(self.asked_path(name).read_text(encoding="utf-8"))["labels"]
        except (OSError, ValueError, LookupError, TypeError):
            return None

    def save(self, name: str, result: Segmentation, names: Sequence[str], asked: Sequence[str] | None = None) -> None:
        """Save the label map (H, W), how the classes were split and, if kept, the scores (K, H, W) as float16.

        Args:
            name: of the image.
            result: its mask holds class ids; one pass or none leaves no file of passes, nor that of an earlier run.
            names: the K class names of the scores.
            asked: labels of a file, which may change, that the image was asked for: they are noted.

        The mask, and after it the record, come last: where they are, the image is done. Raises InputError where the
        disk does not take them.
        """
        if len(result.groups) > 1:
            write_json(self.passes_path(name), {"passes": result.groups})
        else:
            remove(self.passes_path(name))
        if self.save_scores:
            write_scores(self.scores_path(name), result.each_score(), names, result.mask.shape)
        write_mask(self.mask_path(name), result.mask)
        if asked is not None:
            write_json(self.asked_path(name), {"labels": list(asked)})


def remove(path: Path) -> None:
    """Remove a file if it is there. Raises InputError if it stays."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be removed: {error.strerror or error}") from None


def digest(*paths: Path) -> str:
    """SHA-256 of the contents of files, so that a changed input is noticed."""
    total = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                total.update(block)
    return total.hexdigest()


def precision(model: str, backbone: str | None, dtype: str, device: str) -> str:
    """The precision that a model computes in. Raises InputError for a model, device or precision that is not known."""
    return pick_dtype(dtype, pick_device(device), find_row(model, backbone).cpu_dtype)


def weights_digest(model: str, backbone: str | None, dtype: str) -> dict[str, str]:
    """SHA-256 of every part of a model; see `digests.weights_digest`. Raises InputError for one that cannot be had.

    Where a folder has both fp16 and plain files it is known by the plain ones, whatever the precision (a key of
    `DTYPES`): the same run may go on on another device.
    """
    return digests.weights_digest(locate(find_row(model, backbone), half=holds_half(dtype)))


def row_name(model: str, backbone: str | None) -> str:
    """Name of the row of configs/backbones/ that says which layers a model has."""
    return find_row(model, backbone).name


def folder_digest(source: str | None) -> str | None:
    """SHA-256 of the weights in a folder; what is no folder here is known by its name, None stays None."""
    files = sorted(Path(source).glob("*.safetensors")) if source else []
    return digest(*files) if files else source
