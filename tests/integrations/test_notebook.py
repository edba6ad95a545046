"""The notebook of the examples: what Colab asks of it, and that all its cells run."""

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

NOTEBOOK = Path(__file__).parent.parent.parent / "examples" / "iseg.ipynb"
LARGEST = 3_000_000  # bytes with all outputs


def sources(kind: str) -> list[str]:
    content = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in content["cells"] if cell["cell_type"] == kind]


def test_colab_can_open_it():
    content = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert (content["nbformat"], content["metadata"]["kernelspec"]["name"]) == (4, "python3")
    assert content["metadata"]["colab"]["name"] == NOTEBOOK.name
    assert not any(cell.get("outputs") for cell in content["cells"])  # they are made, not kept
    ids = [cell["id"] for cell in content["cells"]]
    assert len(set(ids)) == len(ids)
    first = sources("code")[0]
    assert "%pip install" in first
    assert "pip install iseg" not in first  # that name belongs to somebody else on PyPI


def test_its_code_can_be_read():
    for source in sources("code")[1:]:  # the first has a command of Jupyter's
        compile(source, str(NOTEBOOK), "exec")


@pytest.mark.integration
def test_all_its_cells_run(in_environment, tmp_path):
    in_environment("notebook", "notebook_run.py", str(NOTEBOOK), str(tmp_path / "done.ipynb"))
    assert (tmp_path / "done.ipynb").stat().st_size < LARGEST
    cells = json.loads((tmp_path / "done.ipynb").read_text(encoding="utf-8"))["cells"]
    shown = [output["data"] for cell in cells for output in cell.get("outputs", []) if "data" in output]
    pictures = [Image.open(io.BytesIO(base64.b64decode(data["image/png"]))) for data in shown if "image/png" in data]
    photograph, words, clicked = (np.array(picture.convert("RGB")).astype(int) for picture in pictures)
    assert photograph.shape == words.shape == clicked.shape
    for drawn in (words, clicked):
        assert (drawn != photograph).any(2).mean() > 0.1
    animations = [Image.open(io.BytesIO(base64.b64decode(data["image/gif"]))) for data in shown if "image/gif" in data]
    assert [getattr(each, "n_frames", 1) for each in animations] == [7]
