"""The Gradio shell: one `gr.HTML` component whose script is `web/main.js`, and a guard on what may be sent."""

import os
from pathlib import Path
from typing import Any

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # read when gradio is imported

import gradio as gr
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from iseg.page.access import Gate
from iseg.page.api import Api
from iseg.page.downloads import Downloads
from iseg.page.settings import MEGA

WEB = Path(__file__).parent / "web"
STATIC, DOWNLOADS = "workbench", "saved"
ON_LOAD = f"import(new URL('{STATIC}/main.js', document.baseURI)).then((page) => page.start(element, server));"
HEAD = f'<link rel="stylesheet" href="{STATIC}/style.css">'
TEMPLATE_MARKS = ("`", "${", "{{", "\\")  # would be read by the template engines that the markup passes through


class WebFiles(StaticFiles):
    """The page's own files; the browser asks anew whether they changed."""

    def file_response(self, *args: Any, **kwargs: Any) -> Any:
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "no-cache"
        return response


class Guard:
    """Refuses bodies above a limit, whatever their header says, and Gradio's own uploads, which the page never uses."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self.app, self.limit = app, limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if scope["path"].rstrip("/").endswith("/upload"):
            await PlainTextResponse("not found", 404)(scope, receive, send)
            return
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if not declared.isdigit() or int(declared) > self.limit:
            await PlainTextResponse("the request is too large", 413)(scope, receive, send)
            return
        received = 0

        async def limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.limit:
                return {"type": "http.disconnect"}
            return message

        await self.app(scope, limited, send)


def markup() -> str:
    """The page's static markup. Raises ValueError if it holds what Gradio's template engines would change."""
    text = (WEB / "page.html").read_text(encoding="utf-8")
    for mark in TEMPLATE_MARKS:
        if mark in text:
            raise ValueError(f"web/page.html holds {mark!r}, which Gradio's templates would change")
    return text


def build(api: Api) -> gr.Blocks:
    """The page as Gradio blocks."""
    with gr.Blocks(title="iSeg", analytics_enabled=False, fill_width=True) as blocks:
        gr.HTML(
            html_template=markup(),
            js_on_load=ON_LOAD,
            apply_default_css=False,
            server_functions=api.functions(),
            elem_id="iseg",
        )
    return blocks


def download(downloads: Downloads) -> Any:
    """The endpoint that hands out files by their keys."""

    async def endpoint(request: Request) -> Response:
        waiting = downloads.get(request.path_params["key"])
        if waiting is None:
            return PlainTextResponse("this file is no longer here: save it again", 404)
        return FileResponse(waiting.path, media_type=waiting.media, filename=waiting.name)

    return endpoint


def launch(blocks: gr.Blocks, api: Api, **options: Any) -> tuple[Any, str, str | None]:
    """Serve the page; returns Gradio's (app, local address, shared address)."""
    settings = api.settings
    gate = [Middleware(Gate, secret=settings.secret)] if settings.secret else []
    limit = int(settings.max_upload_mb * MEGA * 4 / 3) + 2 * MEGA  # base64, and the rest of the request
    return blocks.launch(
        server_name=settings.host,
        server_port=settings.port or None,
        share=settings.share,
        ssr_mode=False,
        quiet=True,
        footer_links=[],
        head=HEAD,
        favicon_path=WEB / "icon.svg",
        enable_monitoring=False,
        app_kwargs={
            "routes": [
                Mount(f"/{STATIC}", WebFiles(directory=WEB)),
                Route(f"/{DOWNLOADS}/{{key}}", download(api.downloads)),
            ],
            "middleware": [*gate, Middleware(Guard, limit=limit)],
        },
        **options,
    )
