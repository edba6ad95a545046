"""Who may use a page that others can reach."""

import asyncio
import base64
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("gradio", reason="the page needs gradio")

from starlette.responses import PlainTextResponse

from iseg.errors import InputError
from iseg.page.access import COOKIE, Gate
from iseg.page.settings import Secret, UiSettings


def ask(secret: Secret, path: str = "/", query: str = "", **headers: str) -> tuple[int, dict[str, str]]:
    sent: list[dict] = []

    async def receive():
        return {"type": "http.request", "body": b""}

    async def send(message):
        sent.append(message)

    given = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    scope = {"type": "http", "method": "GET", "path": path, "query_string": query.encode(), "headers": given}
    with ThreadPoolExecutor(1) as thread:  # the browser of other tests may keep a loop running in this one
        thread.submit(lambda: asyncio.run(Gate(PlainTextResponse("in"), secret)(scope, receive, send))).result()
    return sent[0]["status"], {key.decode(): value.decode() for key, value in sent[0]["headers"]}


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


def test_a_key_lets_in_once_and_then_a_cookie():
    secret = Secret("", "abc-123")
    for path in ("/", "/workbench/main.js", "/saved/0", "/gradio_api/component_server/"):
        assert ask(secret, path)[0] == 401
    assert ask(secret, query="key=wrong")[0] == 401
    assert ask(secret, cookie=f"{COOKIE}=wrong")[0] == 401
    status, headers = ask(secret, query="key=abc-123&a=1")
    assert status == 303
    assert headers["location"] == "?a=1"
    assert "abc-123" not in headers["location"]
    cookie = headers["set-cookie"].split(";")[0]
    assert "httponly" in headers["set-cookie"].lower()
    assert ask(secret, cookie=cookie)[0] == 200
    assert ask(secret, "/gradio_api/startup-events")[0] == 200


def test_a_user_and_a_password():
    secret = Secret("me", "pass:word")
    assert ask(secret)[0] == 401
    assert "www-authenticate" in ask(secret)[1]
    for wrong in ("me:other", "you:pass:word", "", "é:è"):
        assert ask(secret, authorization=basic(wrong))[0] == 401
    assert ask(secret, authorization="Basic %%%")[0] == 401
    assert ask(secret, authorization=basic("me:pass:word"))[0] == 200


@pytest.mark.parametrize(
    ("given", "is_open"),
    [
        ({}, True),
        ({"host": "localhost"}, True),
        ({"host": "0.0.0.0"}, False),
        ({"share": True}, False),
        ({"host": "0.0.0.0", "open": True}, True),
    ],
)
def test_a_page_that_others_can_reach_has_a_secret(given, is_open):
    assert (UiSettings(**given).secret is None) == is_open


def test_an_open_page_with_a_password_is_refused():
    with pytest.raises(InputError, match="auth and open were given: expected one of them"):
        UiSettings(auth="me:word", open=True)


@pytest.mark.parametrize("auth", ["me", "me:", ":word", ":"])
def test_half_an_auth_is_refused(auth):
    with pytest.raises(InputError, match="USER:PASSWORD"):
        UiSettings(auth=auth)
