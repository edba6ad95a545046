"""Who may use a page that others can reach: a secret in its address, or a user and a password."""

import base64
import binascii
import hmac
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlencode

from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from iseg.page.settings import Secret

COOKIE = "iseg-key"
OPEN = "/gradio_api/startup-events"  # what the server asks itself once, when it starts


class Gate:
    """Lets nobody in without the secret: HTTP Basic for a user and a password, else `?key=` once, then a cookie."""

    def __init__(self, app: ASGIApp, secret: Secret) -> None:
        self.app, self.secret = app, secret

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or scope.get("path", "").endswith(OPEN):
            await self.app(scope, receive, send)
            return
        headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}
        refusal = self._by_password(headers) if self.secret.user else self._by_key(scope, headers)
        if refusal is None:
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await refusal(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    def _by_password(self, headers: dict[str, str]) -> Response | None:
        kind, _, encoded = headers.get("authorization", "").partition(" ")
        try:
            given = base64.b64decode(encoded, validate=True) if kind.lower() == "basic" else b""
        except binascii.Error:
            given = b""
        if hmac.compare_digest(given, f"{self.secret.user}:{self.secret.key}".encode()):
            return None
        return PlainTextResponse("a user and a password are needed", 401, {"WWW-Authenticate": 'Basic realm="iSeg"'})

    def _by_key(self, scope: Scope, headers: dict[str, str]) -> Response | None:
        query = parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
        given = dict(query).get("key")
        if given is not None and self._is_key(given) and scope["type"] == "http":
            rest = urlencode([(name, value) for name, value in query if name != "key"])
            answer = RedirectResponse(f"?{rest}" if rest else scope.get("root_path", "") + scope["path"], 303)
            answer.set_cookie(COOKIE, given, httponly=True, samesite="lax")
            return answer
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            cookie = None
        if cookie is not None and self._is_key(cookie.value):
            return None
        return PlainTextResponse("open the address that the server printed: it holds the key", 401)

    def _is_key(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self.secret.key.encode())
