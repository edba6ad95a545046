"""What Label Studio's ML backend makes of configs, marks and requests, without Label Studio."""

import base64
import io
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from iseg import InputError
from iseg.cli import main
from iseg.integrations.label_studio.annotator import Annotator
from iseg.integrations.label_studio.brush import decode_brush
from iseg.integrations.label_studio.images import Images
from iseg.integrations.label_studio.main import settings_from
from iseg.integrations.label_studio.server import Server
from iseg.integrations.label_studio.tasks import read_config, read_marks

CONFIG = (Path(__file__).parent.parent.parent / "examples" / "label_studio.xml").read_text(encoding="utf-8")
SIZE = (90, 140)

# Configs


def test_the_example_s_config():
    config = read_config(CONFIG)
    assert (config.brush, config.image, config.variable, config.labels) == ("mask", "image", "image", ["bus", "cat"])
    assert config.label_of("CAT") == "cat"
    with pytest.raises(InputError, match="no label is called 'dog': expected one of bus, cat"):
        config.label_of("dog")
    only = read_config(
        '<View><Image name="i" value="$u"/><BrushLabels name="b" toName="i"><Label value="x"/></BrushLabels></View>'
    )
    assert (only.variable, only.label_of("anything")) == ("u", "x")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<View>", "cannot be read"),
        ("<View/>", "no brush labels"),
        (
            CONFIG.replace('<BrushLabels name="mask" toName="image"', '<BrushLabels name="mask" toName="x"'),
            "no brush",
        ),
        ('<!DOCTYPE v [<!ENTITY a "aaaa">]><View>&a;</View>', "entities"),
        (" " * (1 << 20) + CONFIG, "too long"),
    ],
)
def test_configs_that_cannot_be_used(text, said):
    with pytest.raises(InputError, match=f"{said}.*expected XML with an <Image> and <BrushLabels> on it"):
        read_config(text)


# Marks


def point(x: float, y: float, positive: int = 1, label: str = "bus") -> dict[str, Any]:
    value = {"x": 100 * x / SIZE[1], "y": 100 * y / SIZE[0], "width": 0.5, "keypointlabels": [label]}
    return {"type": "keypointlabels", "is_positive": positive, "value": value}


def rectangle(x: float, y: float, width: float, height: float, **more: Any) -> dict[str, Any]:
    value = {"x": x, "y": y, "width": width, "height": height, "rotation": 0, "rectanglelabels": ["cat"], **more}
    return {"type": "rectanglelabels", "value": value}


def test_marks_in_percent_become_pixels():
    words = {"type": "textarea", "value": {"text": ["bus; Cat", " cat "]}}
    other = {"type": "choices", "value": {"choices": ["x"]}}
    marks = [words, point(70, 45), point(77, 33), point(1, 2, 0), point(5, 6, label="cat"), other,
             rectangle(10, 20, 30, 40)]  # fmt: skip
    asked = read_marks(marks, read_config(CONFIG), SIZE)
    assert asked.words == ["bus", "Cat", "cat"]
    assert asked.points == {"bus": ([(70, 45), (77, 33)], [(1, 2)]), "cat": ([(5, 6)], [])}
    assert asked.boxes == [("cat", (14, 18, 56, 54))]


def test_a_turned_rectangle_is_refused():
    with pytest.raises(InputError, match="turned by 30 degrees: expected an upright one"):
        read_marks([rectangle(1, 2, 3, 4, rotation=30)], read_config(CONFIG), SIZE)


# Requests


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[tuple[str, list]]:
    """(address, list of the Authorization of each request) of a server on this machine."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.seen = []  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", server.seen  # type: ignore[attr-defined]
        server.shutdown()


class Files(BaseHTTPRequestHandler):
    """Gives an image at any path, moves for /moved?ADDRESS, and has nothing at /none."""

    def do_GET(self) -> None:
        self.server.seen.append(self.headers.get("Authorization"))  # type: ignore[attr-defined]
        path, _, target = self.path.partition("?")
        self.send_response({"/none": 404, "/moved": 302}.get(path, 200))
        if target:
            self.send_header("Location", target)
        self.end_headers()
        if path not in ("/none", "/moved"):
            self.wfile.write(picture())

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is printed."""


def picture() -> bytes:
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    image = np.full((*SIZE, 3), (40, 140, 60), np.uint8)
    image[(rows - 40) ** 2 + (columns - 60) ** 2 < 25**2] = (200, 30, 40)
    written = io.BytesIO()
    Image.fromarray(image).save(written, "PNG")
    return written.getvalue()


@pytest.fixture(autouse=True)
def _no_proxy_and_no_token(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("LABEL_STUDIO_API_KEY", raising=False)


@pytest.fixture
def backend(tiny) -> Iterator[Callable[..., tuple[int, Any]]]:
    """backend(path, content, headers) -> (status, answer) of a backend that wants "me:secret"; no content: GET."""
    server = Server(("127.0.0.1", 0), Annotator(tiny, Images()), "me:secret")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    known = {"Content-Type": "application/json", "Authorization": f"Basic {base64.b64encode(b'me:secret').decode()}"}

    def ask(path: str, content: Any = None, **headers: str) -> tuple[int, Any]:
        body = content if isinstance(content, bytes) or content is None else json.dumps(content).encode()
        whole = f"http://127.0.0.1:{server.server_port}{path}"
        request = urllib.request.Request(whole, body, {**known, **headers})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    yield ask
    server.shutdown()
    server.server_close()


def test_the_protocol_of_backends(backend):
    assert backend("/health") == (200, {"status": "UP", "model_class": "iseg"})
    status, told = backend("/setup", {"hostname": "http://localhost:8080", "access_token": "t"})
    assert (status, told["model_version"].split()[0]) == (200, "iseg")
    assert backend("/versions") == (200, {"versions": [told["model_version"]]})
    assert backend("/webhook", {"action": "START_TRAINING"}) == (200, {"status": "ok"})
    assert backend("/elsewhere")[0] == backend("/elsewhere", {})[0] == 404


@pytest.mark.parametrize(
    ("content", "headers", "status", "said"),
    [
        ({}, {"Authorization": ""}, 401, "a password"),
        ({}, {"Authorization": "Basic ///"}, 401, "a password"),
        ({}, {"Content-Type": "text/plain"}, 400, "type is 'text/plain': expected application/json"),
        (b"{", {}, 400, "is not JSON"),
        (b"[1]", {}, 400, "is a list: expected a JSON object"),
        ({}, {}, 400, "not one of Label Studio's: KeyError"),
        ({"label_config": CONFIG, "tasks": [{"id": 1, "data": 3}]}, {}, 400, "not one of Label Studio's: TypeError"),
        ({"label_config": "<View/>", "tasks": []}, {}, 400, "no brush labels"),
    ],
)
def test_requests_that_cannot_be_used(backend, content, headers, status, said):
    answer = backend("/predict", content, **headers)
    assert answer[0] == status
    assert said in answer[1]["error"]


def test_a_task_that_fails_leaves_the_others_theirs(backend, capsys, tiny):
    with serving(Files) as (address, _):
        tasks = [{"id": k, "data": {"image": where}}
                 for k, where in enumerate((f"{address}/none", f"{address}/a.png", "s3://bucket/a.png"))]  # fmt: skip
        status, answer = backend("/predict", {"label_config": CONFIG, "tasks": tasks, "params": {"context": None}})
        assert status == 200
        assert [answer["results"][0], answer["results"][2]] == [[], []]
        said = capsys.readouterr().err
        assert "task 0: " in said
        assert "404" in said
        assert "'s3://bucket/a.png': expected http(s) or an address of Label Studio itself (see --url)" in said
        expected = tiny.segment(["bus", "cat"], image=tiny.set_image(Image.open(io.BytesIO(picture())))).mask
        masks = np.zeros(SIZE, np.uint8)
        for region in answer["results"][1]["result"]:
            assert (region["original_height"], region["original_width"], region["from_name"]) == (*SIZE, "mask")
            k = ["bus", "cat"].index(region["value"]["brushlabels"][0]) + 1
            masks[decode_brush(region["value"]["rle"], SIZE) == 255] = k
        assert np.array_equal(masks, expected)
        marked = {"params": {"context": {"result": [point(60, 40)]}}, "label_config": CONFIG}
        status, answer = backend("/predict", {**marked, "tasks": tasks[:1]})
        assert (status, "404" in answer["error"]) == (400, True)
        status, answer = backend("/predict", {**marked, "tasks": tasks[1:2]})
        assert [each["value"]["brushlabels"] for each in answer["results"][0]["result"]] == [["bus"]]


def test_a_token_goes_to_its_server_only():
    with serving(Files) as (ours, seen), serving(Files) as (other, elsewhere):
        images = Images(ours, "abc")
        images.told({"hostname": other, "access_token": "theirs"})  # somebody else's word changes nothing
        assert images.fetch("/data/upload/1/a.png") == picture()
        assert images.fetch(f"{ours}/b.png") == picture()
        assert seen == ["Token abc", "Token abc"]
        assert images.fetch(f"{other}/c.png") == picture()
        assert images.fetch(f"{ours}/moved?{other}/d.png") == picture()
        assert elsewhere == [None, None]
        told = Images()
        told.told({"hostname": other, "access_token": "theirs"})
        assert told.fetch("/e.png") == picture()
        assert elsewhere[2:] == ["Token theirs"]


def test_a_token_of_the_environment_is_not_sent_where_somebody_says(monkeypatch):
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "mine")
    with serving(Files) as (address, seen):
        images = Images()
        images.told({"hostname": address, "access_token": ""})
        images.fetch("/a.png")
        assert seen == [None]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--host", "0.0.0.0"], "--host is '0.0.0.0' without --auth: expected --auth USER:PASSWORD"),
        (["--auth", "me"], "--auth is not USER:PASSWORD"),
        (["--key", "abc"], "--key was given without --url"),
        (["--port", "70000"], "--port is 70000: expected 0..65535"),
    ],
)
def test_settings_that_cannot_be_used(arguments, said, capsys):
    assert main(["label-studio", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_settings_of_the_command_line():
    settings = settings_from(["--url", "http://localhost:8080", "--key", "abc", "--auth", "a:b", "--host", "0.0.0.0"])
    assert (settings.url, settings.key, settings.auth, settings.port) == ("http://localhost:8080", "abc", "a:b", 9090)
