"""The folder of a run: masks are the checkpoint, the settings lie beside them."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from iseg.backbones.find import find_row, locate
from iseg.backbones.load import pick_device, pick_dtype
from iseg.errors import InputError
from iseg.files.export import write_bytes, write_json, write_mask, write_scores
from iseg.results import Segmentation
from iseg.settings import list_differences, read_yaml

CONFIG = "config.yaml"


class Outputs:
    """OUT/masks/NAME.png, OUT/scores/NAME.npz, OUT/passes/NAME.json and OUT/config.yaml of one variant.

    The masks have a folder of their own, so that it can be handed on as it is; passes/ has the images alone whose
    classes one prompt was too short for.

    Args:
        folder: OUT.
        save_scores: keep score maps too.
    """

    def __init__(self, folder: Path, save_scores: bool = False) -> None:
        self.folder, self.save_scores = folder, save_scores

    def mask_path(self, name: str) -> Path:
        return self.folder / "masks" / f"{name}.png"

    def scores_path(self, name: str) -> Path:
        return self.folder / "scores" / f"{name}.npz"

    def passes_path(self, name: str) -> Path:
        return self.folder / "passes" / f"{name}.json"

    def open(self, computed: Mapping[str, Any], how: Mapping[str, Any]) -> int:
        """Make the folder, or take up an earlier run's, and return the number of masks that it holds.

        Args:
            computed: settings that decide the masks; an earlier run's must be the same.
            how: settings that do not; kept for the reader only.

        Raises InputError with the differing settings if the folder holds a run with others, and for a folder that
        cannot be written.
        """
        path = self.folder / CONFIG
        masks = sum(1 for _ in self.folder.glob("masks/*.png"))
        if masks and not path.is_file():
            raise InputError(f"{self.folder} holds masks but no {CONFIG} that says how they came: give another --out")
        differences = list_differences(read_yaml(path).get("computed"), dict(computed)) if masks else []
        if differences:
            raise InputError(
                f"{self.folder} holds masks of another configuration: give another --out, or the settings of {path}\n"
                + "\n".join(differences)
            )
        try:
            (self.folder / "masks").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{self.folder}: cannot be written: {error.strerror or error}") from None
        text = yaml.safe_dump({"computed": dict(computed), "how": dict(how)}, sort_keys=False, allow_unicode=True)
        write_bytes(path, text.encode())
        return masks

    def sweep_up(self) -> None:
        """Remove what killed runs left half-written. Only when no process writes here any more."""
        for path in self.folder.glob("*/.*.tmp"):
            path.unlink(missing_ok=True)

    def finished(self, name: str) -> bool:
        """Whether everything of an image was saved."""
        return self.mask_path(name).is_file() and (not self.save_scores or self.scores_path(name).is_file())

    def save(
        self,
        name: str,
        result: Segmentation,
        names: Sequence[str],
    ) -> None:
        """Save the label map (H, W), how the classes were split and, if kept, the scores (K, H, W) as float16.

        Args:
            name: of the image.
            result: its mask holds class ids; one pass or none leaves no file of passes, nor that of an earlier run.
            names: the K class names of the scores.

        The mask comes last: where it is, the image is done. Raises InputError where the disk does not take them.
        """
        if len(result.groups) > 1:
            write_json(self.passes_path(name), {"passes": result.groups})
        else:
            remove(self.passes_path(name))
        if self.save_scores:
            write_scores(self.scores_path(name), result.each_score(), names, result.mask.shape)
        write_mask(self.mask_path(name), result.mask)


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


def weights_digest(model: str, backbone: str | None) -> str:
    """SHA-256 of a model's UNet weights. Raises InputError for a model that cannot be had."""
    place = locate(find_row(model, backbone))
    return digest(*([place] if place.is_file() else sorted(place.glob("unet/*.safetensors"))))
