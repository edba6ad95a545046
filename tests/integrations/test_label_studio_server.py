"""A real Label Studio server asks our backend: its brush masks are the pixels of `iseg segment`."""

import json
import os
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from iseg import ISeg
from iseg.cli import main
from iseg.integrations.label_studio.annotator import Annotator
from iseg.integrations.label_studio.brush import decode_brush, encode_brush
from iseg.integrations.label_studio.images import Images
from iseg.integrations.label_studio.server import Server

ROOT = Path(__file__).parent.parent.parent
SCENE = ROOT / "examples" / "scenes" / "bus_cat.jpg"
CONFIG = (ROOT / "examples" / "label_studio.xml").read_text(encoding="utf-8")
TOKEN = "0123456789abcdef0123456789abcdef01234567"

pytestmark = pytest.mark.integration
Call = Callable[..., Any]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture(scope="module")
def label_studio(environment, tmp_path_factory) -> Iterator[Call]:
    """call(method, path, content or (type, bytes)) -> the answer of a server of its own."""
    folder, port = tmp_path_factory.mktemp("label-studio"), free_port()
    command = [str(environment("label-studio").parent / "label-studio"), "start", "--no-browser", "--port", str(port),
               "--data-dir", str(folder), "--username", "a@example.org", "--password", "password-of-a-test",
               "--user-token", TOKEN, "--enable-legacy-api-token"]  # fmt: skip
    variables = {**os.environ, "LATEST_VERSION_CHECK": "false", "COLLECT_ANALYTICS": "false", "HOME": str(folder),
                 # the backend of this test is on this machine: of itself, and of its webhook
                 "ML_BLOCK_LOCAL_IP": "false", "SSRF_PROTECTION_ENABLED": "false",
                 "LABEL_STUDIO_BASE_DATA_DIR": str(folder), "no_proxy": "127.0.0.1,localhost"}  # fmt: skip
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    address = f"http://127.0.0.1:{port}"

    def call(method: str, path: str, content: Any = None) -> Any:
        kind, body = content if isinstance(content, tuple) else ("application/json", json.dumps(content).encode())
        headers = {"Authorization": f"Token {TOKEN}", "Content-Type": kind}
        request = urllib.request.Request(address + path, body if method == "POST" else None, headers, method=method)
        try:
            return json.loads(opener.open(request, timeout=120).read() or b"null")
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path}: {error.code} {error.read()[:600]!r}") from None

    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, cwd=folder, env=variables, stdout=log, stderr=log)
        try:
            _wait_for(opener, address, server, folder / "log")
            call.__dict__["address"] = address
            yield call
        finally:
            server.terminate()
            server.wait(30)


def _wait_for(opener: urllib.request.OpenerDirector, address: str, server: subprocess.Popen, log: Path) -> None:
    for _ in range(1200):  # the first start makes the data base
        assert server.poll() is None, log.read_text()[-2000:]
        try:
            opener.open(f"{address}/health", timeout=5).close()
            return
        except OSError:
            time.sleep(0.5)
    raise AssertionError(log.read_text()[-2000:])


@pytest.fixture(scope="module")
def connected(label_studio) -> Iterator[tuple[Call, int, int]]:
    """(call, id of a task with an uploaded scene, id of the connected backend)."""
    server = Server(("127.0.0.1", 0), Annotator(ISeg.from_pretrained("tiny"), Images(label_studio.address, TOKEN)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        project = label_studio("POST", "/api/projects", {"title": "scenes", "label_config": CONFIG})["id"]
        part = b'--x\r\nContent-Disposition: form-data; name="file"; filename="bus_cat.jpg"\r\n'
        body = part + b"Content-Type: image/jpeg\r\n\r\n" + SCENE.read_bytes() + b"\r\n--x--\r\n"
        label_studio("POST", f"/api/projects/{project}/import", ("multipart/form-data; boundary=x", body))
        task = label_studio("GET", f"/api/tasks?project={project}")["tasks"][0]["id"]
        backend = {"url": f"http://127.0.0.1:{server.server_port}", "project": project, "is_interactive": True}
        yield label_studio, task, label_studio("POST", "/api/ml", {**backend, "title": "iseg"})["id"]
    finally:
        server.shutdown()
        server.server_close()


def masks(regions: list[dict]) -> dict[str, np.ndarray]:
    found = {}
    for region in regions:
        size = (region["original_height"], region["original_width"])
        found[region["value"]["brushlabels"][0]] = decode_brush(region["value"]["rle"], size) == 255
    return found


def segmented(folder: Path, *options: str) -> np.ndarray:
    assert main(["segment", str(SCENE), *options, "--model", "tiny", "--out", str(folder), "--save", "mask"]) == 0
    with Image.open(folder / "bus_cat.png") as mask:
        return np.array(mask)


def test_pre_annotation_decodes_to_the_pixels_of_iseg_segment(connected, tmp_path):
    call, task, _ = connected
    project = call("GET", f"/api/tasks/{task}")["project"]
    chosen = {"selectedItems": {"all": True, "excluded": []}}
    call("POST", f"/api/dm/actions?id=retrieve_tasks_predictions&project={project}", chosen)
    predictions = call("GET", f"/api/tasks/{task}")["predictions"]
    assert [each["model_version"].split()[0] for each in predictions] == ["iseg"]
    found, expected = masks(predictions[0]["result"]), segmented(tmp_path, "--classes", "bus; cat")
    assert set(found) == {"bus", "cat"}
    assert np.array_equal(found["bus"], expected == 1)
    assert np.array_equal(found["cat"], expected == 2)
    assert 0 < predictions[0]["score"] <= 1


def interactive(connected, *results: dict) -> dict[str, np.ndarray]:
    call, task, backend = connected
    answer = call("POST", f"/api/ml/{backend}/interactive-annotating", {"task": task, "context": {"result": results}})
    assert "errors" not in answer, answer
    return masks(answer["data"]["result"])


def test_marks_decode_to_the_pixels_of_iseg_segment(connected, tmp_path):
    with Image.open(SCENE) as image:
        width, height = image.size

    def point(x: float, y: float, positive: int) -> dict:
        value = {"x": 100 * x / width, "y": 100 * y / height, "width": 0.5, "keypointlabels": ["bus"]}
        return {"type": "keypointlabels", "is_positive": positive, "value": value}

    found = interactive(connected, point(96, 96, 1), point(200, 20, 0))
    expected = segmented(tmp_path / "a", "--points", "96,96", "--negative", "200,20")
    assert np.array_equal(found["bus"], expected == 1)
    box = {"x": 12.5, "y": 25, "width": 37.5, "height": 50, "rotation": 0, "rectanglelabels": ["cat"]}
    corners = f"{width * 0.125},{height * 0.25},{width * 0.5},{height * 0.75}"
    found = interactive(connected, {"type": "rectanglelabels", "value": box})
    assert np.array_equal(found["cat"], segmented(tmp_path / "b", "--box", corners) == 1)
    found = interactive(connected, {"type": "textarea", "value": {"text": ["cat"]}})
    assert np.array_equal(found["cat"], segmented(tmp_path / "c", "--classes", "cat") == 1)


@pytest.mark.parametrize("share", [0.02, 0.5, 1.0])
def test_our_brush_masks_are_the_bytes_of_label_studio_s_library(in_environment, tmp_path, share):
    mask = np.random.default_rng(0).random((37, 53)) < share
    np.save(tmp_path / "mask.npy", mask)
    ours = encode_brush(mask)
    printed = in_environment("label-studio", "label_studio_brush.py", str(tmp_path / "mask.npy"), json.dumps(ours))
    assert json.loads(printed.splitlines()[-1]) == ours
