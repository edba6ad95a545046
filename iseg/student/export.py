"""`export`: a student as ONNX, compared with torch."""

import argparse
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from iseg.errors import InputError
from iseg.extras import import_extra
from iseg.files.export import atomic_path
from iseg.student.network import Student, load_student

LARGEST_DIFFERENCE = 1e-3  # of logits, relative to the largest
OPSET = 18


def export_command(arguments: list[str], prog: str) -> int:
    """`export`: write ONNX and compare it with torch."""
    parser = argparse.ArgumentParser(prog=prog, description="Write a student as ONNX.", allow_abbrev=False)
    parser.add_argument("--student", type=Path, required=True, help="folder of a student: OUT/best")
    parser.add_argument("--out", type=Path, required=True, help="FILE.onnx")
    parser.add_argument("--size", default="512x512", help="WIDTHxHEIGHT that the file takes")
    given = parser.parse_args(arguments)
    difference = export_onnx(load_student(given.student), given.out, parse_size(given.size))
    print(f"{given.out}: pixels (1, 3, H, W) float32 in 0..255 -> logits (1, C, h, w); largest difference from torch "
          f"{difference:.1e}")  # fmt: skip
    return 0


def parse_size(text: str) -> tuple[int, int]:
    """`WxH` in pixels -> (height, width)."""
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal() and min(int(width), int(height)) >= 32):
        raise InputError(f"size {text!r}: expected WIDTHxHEIGHT of at least 32x32, for example 512x512")
    return int(height), int(width)


def export_onnx(student: Student, path: Path, size: tuple[int, int]) -> float:
    """Write pixels (1, 3, H, W) float32 in 0..255 -> logits (1, C, h, w) for one size (H, W).

    Returns the largest difference of the logits from torch's, on noise. Raises InputError where the packages of the
    extra are missing or the difference is too large; no file is left then.
    """
    import_extra("onnx", "onnx", "export as ONNX")
    import_extra("onnxscript", "onnx", "export as ONNX")
    runtime: Any = import_extra("onnxruntime", "onnx", "export as ONNX")
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, 3, *size)).astype(np.float32))
    with torch.inference_mode():
        expected = student(pixels).numpy()
    with atomic_path(path) as temporary, hushed():
        program = torch.onnx.export(student, (pixels,), dynamo=True, input_names=["pixels"], output_names=["logits"],
                                    opset_version=OPSET, verbose=False)  # fmt: skip
        assert program is not None
        program.save(temporary, external_data=False)
        session = runtime.InferenceSession(str(temporary), providers=["CPUExecutionProvider"])
        got = session.run(None, {"pixels": pixels.numpy()})[0]
        difference = float(np.abs(got - expected).max())
        if not difference <= LARGEST_DIFFERENCE * max(1.0, float(np.abs(expected).max())):
            raise InputError(f"{path}: the exported network differs from torch by {difference:.1e}: not written")
    return difference


@contextmanager
def hushed() -> Iterator[None]:
    """A block in which torch's exporter says nothing of operators that are not there and of what it will drop."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    finally:
        logger.setLevel(before)
