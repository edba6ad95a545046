"""The protocol of Label Studio's ML backends: GET /health, /versions; POST /setup, /predict, /webhook."""

import base64
import binascii
import hmac
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from iseg.errors import InputError, echo, printable
from iseg.integrations.label_studio.annotator import Annotator

LARGEST_REQUEST = 64 << 20  # bytes


class Handler(BaseHTTPRequestHandler):
    """Answers one request in JSON: 400 with {"error": ...} for one that cannot be used, 401 without the secret."""

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
        kind, length = self.headers.get_content_type(), self.headers.get("Content-Length", "")
        if kind != "application/json":  # which other sites' pages cannot send from a user's browser
            raise InputError(f"the request's type is {echo(kind)}: expected application/json")
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
    """Serves an annotator; port 0: any free one. auth: USER:PASSWORD, or "" for everybody."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], annotator: Annotator, auth: str = "") -> None:
        super().__init__(address, Handler)
        self.annotator, self.auth = annotator, auth
