"""`iseg label-studio`: an ML backend of Label Studio: words, key points and rectangles in, brush masks out."""

import base64
import binascii
import hmac
import io
import json
import os
import threading
import urllib.request
from collections import OrderedDict
from dataclasses import dataclass, fields
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urljoin, urlsplit

from PIL import Image

from iseg import __version__
from iseg.errors import InputError, echo, printable
from iseg.files.images import decoding, read_image
from iseg.integrations import label_tasks
from iseg.integrations.models import load_model
from iseg.pipeline import ISeg
from iseg.settings import make_parser, parsed
from iseg.state import ImageState

KEPT_IMAGES = 4
LARGEST_IMAGE, LARGEST_REQUEST = 256 << 20, 64 << 20  # bytes
SECONDS = 30
LOCAL = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Backend:
    """Settings of the backend.

    Attributes:
        host, port: where to listen.
        auth: USER:PASSWORD that Label Studio has to give (Basic authentication); needed on another host than this one.
        url: address of Label Studio, for images that it holds; by default what it says of itself.
        key: its access token, for the same; by default $LABEL_STUDIO_API_KEY, else what it says.
        model: tiny, sd21-base, a folder, file or hub id; by default sd21-base if its weights are at hand, else tiny.
        recipe: "wsss/voc" or a YAML file with a section `recipe:`.
        device: auto, cpu, cuda or mps.
        dtype: auto, float32, float16, bfloat16 or mixed.
    """

    host: str = "127.0.0.1"
    port: int = 9090
    auth: str = ""
    url: str = ""
    key: str = ""
    model: str | None = None
    recipe: str | None = None
    device: str = "auto"
    dtype: str = "auto"

    def __post_init__(self) -> None:
        if self.host not in LOCAL and ":" not in self.auth:
            raise InputError(f"--host is {echo(self.host)} without --auth: expected --auth USER:PASSWORD beside it")


class Annotator:
    """Answers Label Studio's requests with a model. Threads may share it."""

    def __init__(self, model: ISeg, url: str = "", key: str = "") -> None:
        self.model, self.url, self.key = model, url, key
        self.version = f"iseg {__version__} {model.backbone.row.name}"
        self._lock = threading.Lock()
        self._states: OrderedDict[str, ImageState] = OrderedDict()

    def setup(self, request: dict[str, Any]) -> dict[str, Any]:
        """What Label Studio sends when it is connected: its address and a token."""
        self.url = self.url or request.get("hostname") or ""
        self.key = self.key or os.environ.get("LABEL_STUDIO_API_KEY", "") or request.get("access_token") or ""
        return {"model_version": self.version}

    def predict(self, request: dict[str, Any]) -> dict[str, Any]:
        """Regions for each task: of what was just marked, else a word per label. Raises InputError."""
        try:
            config = label_tasks.read_config(request["label_config"])
            marked = ((request.get("params") or {}).get("context") or {}).get("result") or []
            return {"results": [self._task(task, marked, config) for task in request["tasks"]]}
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(f"the request is not one of Label Studio's: {error!r}") from None

    def _task(
        self, task: dict[str, Any], marked: list[dict[str, Any]], config: label_tasks.LabelConfig
    ) -> dict[str, Any]:
        state = self._image(task["data"][config.variable])
        asked = label_tasks.read_marks(marked, config, state.size)
        regions = label_tasks.segment(self.model, state, asked, config)
        score = sum(each["score"] for each in regions) / len(regions) if regions else 0.0
        return {"result": regions, "score": score, "model_version": self.version}

    def _image(self, address: str) -> ImageState:
        """The image at an address, the last few kept with their passes."""
        with self._lock:
            if address not in self._states:
                with decoding(address):
                    image = read_image(Image.open(io.BytesIO(self._fetch(address))))
                self._states[address] = ImageState(image)
                if len(self._states) > KEPT_IMAGES:
                    self._states.popitem(last=False)
            self._states.move_to_end(address)
            return self._states[address]

    def _fetch(self, address: str) -> bytes:
        whole = urljoin(self.url, address)
        if urlsplit(whole).scheme not in ("http", "https"):
            raise InputError(f"cannot be reached at {echo(whole)}: give Label Studio's address with --url")
        request = urllib.request.Request(whole)
        if self.key and urlsplit(whole)[:2] == urlsplit(self.url)[:2]:  # to nobody else; not sent on by a redirect
            request.add_unredirected_header("Authorization", self._authorization())
        try:
            with urllib.request.urlopen(request, timeout=SECONDS) as answer:
                data = answer.read(LARGEST_IMAGE + 1)
        except (OSError, ValueError) as error:
            raise InputError(f"cannot be fetched: {error}; see --url and --key") from None
        if len(data) > LARGEST_IMAGE:
            raise InputError(f"too large: expected at most {LARGEST_IMAGE:,} bytes")
        return data

    def _authorization(self) -> str:
        """A legacy token as it is; a personal access token (a JWT) buys a short-lived one."""
        if self.key.count(".") != 2:
            return f"Token {self.key}"
        body = json.dumps({"refresh": self.key}).encode()
        request = urllib.request.Request(
            urljoin(self.url, "/api/token/refresh"), body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            return f"Bearer {json.load(answer)['access']}"


class Handler(BaseHTTPRequestHandler):
    """The protocol: GET /health; POST /setup, /predict, /webhook."""

    server: "Server"

    def do_GET(self) -> None:
        if self.path.rstrip("/") in ("", "/health"):
            self._answer(200, {"status": "UP", "model_class": "iseg"})
        elif self.path.rstrip("/") == "/versions":
            self._answer(200, {"versions": [self.server.annotator.version]})
        else:
            self._answer(404, {"error": "expected GET /health or POST /setup, /predict, /webhook"})

    def do_POST(self) -> None:
        annotator = self.server.annotator
        answers = {"/setup": annotator.setup, "/predict": annotator.predict, "/webhook": lambda _: {"status": "ok"}}
        answer = answers.get(self.path.rstrip("/"))
        if answer is None:
            self._answer(404, {"error": f"expected POST {', '.join(answers)}"})
        elif not self._allowed():
            self._answer(401, {"error": "a user and a password are needed"})
        else:
            try:
                self._answer(200, answer(self._request()))
            except InputError as error:
                self.log_error("%s", printable(error))
                self._answer(400, {"error": str(error)})

    def _request(self) -> dict[str, Any]:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > LARGEST_REQUEST:
            raise InputError(f"the request has a length of {echo(length)}: expected 0..{LARGEST_REQUEST} bytes")
        try:
            content = json.loads(self.rfile.read(int(length)) or b"{}")
        except (ValueError, RecursionError) as error:
            raise InputError(f"the request is not JSON: {printable(error, 100)}") from None
        if not isinstance(content, dict):
            raise InputError(f"the request is a {type(content).__name__}: expected a JSON object")
        return content

    def _allowed(self) -> bool:
        if not self.server.auth:
            return True
        kind, _, encoded = self.headers.get("Authorization", "").partition(" ")
        try:
            given = base64.b64decode(encoded, validate=True) if kind.lower() == "basic" else b""
        except binascii.Error:
            given = b""
        return hmac.compare_digest(given, self.server.auth.encode())

    def _answer(self, status: int, content: dict[str, Any]) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


class Server(ThreadingHTTPServer):
    """Serves an annotator; port 0: any free one."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], annotator: Annotator, auth: str = "") -> None:
        super().__init__(address, Handler)
        self.annotator, self.auth = annotator, auth


def run(arguments: list[str]) -> int:
    """Serve until interrupted. Raises InputError for settings that cannot be used and a port that is taken."""
    parser = make_parser(prog="iseg label-studio", description="An ML backend of Label Studio.", allow_abbrev=False)
    parser.add_class_arguments(Backend, None)
    values = parsed(parser.parse_args, arguments, "")
    settings = Backend(**{entry.name: values[entry.name] for entry in fields(Backend)})
    model = load_model(settings.model, settings.recipe, settings.device, settings.dtype)
    try:
        server = Server((settings.host, settings.port), Annotator(model, settings.url, settings.key), settings.auth)
    except OSError as error:
        raise InputError(f"cannot listen at {settings.host}:{settings.port}: {error.strerror or error}") from None
    with server:
        print(f"iSeg's backend is at http://{settings.host}:{server.server_port} (Ctrl+C ends it)", flush=True)
        server.serve_forever()
    return 0
