"""A hub on 127.0.0.1 that speaks as much of the Hugging Face hub's API as its client needs to get a model."""

import hashlib
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE = ".safetensors", ".bin"  # kept as "LFS" files: the hub knows their SHA-256


@dataclass
class Repository:
    """One repository and how it behaves.

    Attributes:
        files: {name: content}.
        state: HTTP status of every answer; 200 is a public repository.
        error: value of the X-Error-Code header, e.g. "GatedRepo".
        sleep: seconds before every answer.
        short: {name: bytes after which the connection is closed}, once per file if `once`, else always.
        lie: {name: content that is sent in place of the one the hub knows}.
        block: bytes after which a file's sending pauses for `pause` seconds.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    state: int = 200
    error: str | None = None
    sleep: float = 0
    short: dict[str, int] = field(default_factory=dict)
    once: bool = False
    lie: dict[str, bytes] = field(default_factory=dict)
    block: int = 1 << 30
    pause: float = 0
    commit: str = COMMIT


@dataclass
class Hub:
    """A running hub: its address, its repositories by id, and what was asked of it."""

    url: str
    repositories: dict[str, Repository] = field(default_factory=dict)
    sent: list[tuple[str, int]] = field(default_factory=list)  # (file, first byte) of every file that was sent
    asked: Counter = field(default_factory=Counter)  # requests by repository

    def names(self) -> list[str]:
        """Files that were sent, in order."""
        return [name for name, _ in self.sent]


@contextmanager
def running() -> Iterator[Hub]:
    """A hub without repositories, stopped afterwards."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def do_HEAD(self) -> None:
            self.answer()

        def do_GET(self) -> None:
            self.answer()

        def answer(self) -> None:
            parts = self.path.split("?")[0].strip("/").split("/")
            api = parts[:2] == ["api", "models"]
            owner_name = "/".join(parts[2:4] if api else parts[:2])
            hub.asked[owner_name] += 1
            repository = hub.repositories.get(owner_name)
            if repository is None:
                return self.send(404, b"", {"X-Error-Code": "RepoNotFound"})
            time.sleep(repository.sleep)
            if repository.state != 200:
                extra = {"X-Error-Code": repository.error} if repository.error else {}
                return self.send(repository.state, b'{"error": "no"}', extra)
            if api:
                return self.send(200, json.dumps(model_info(owner_name, repository)).encode())
            return self.send_file(repository, "/".join(parts[4:]))

        def send(self, status: int, body: bytes, extra: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **(extra or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                with suppress(ConnectionError):  # a client that waits no longer
                    self.wfile.write(body)

        def send_file(self, repository: Repository, name: str) -> None:
            if name not in repository.files:
                return self.send(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": repository.commit})
            known = repository.files[name]
            content = repository.lie.get(name, known)
            first = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").split("-")[0])
            self.send_response(206 if first else 200)
            self.send_header("Content-Length", str(len(known if self.command == "HEAD" else content) - first))
            if first:
                self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
            self.send_header("ETag", f'"{etag(name, known)}"')
            self.send_header("X-Repo-Commit", repository.commit)
            self.end_headers()
            if self.command == "HEAD":
                return None
            hub.sent.append((name, first))
            end = repository.short.get(name, len(content))
            if repository.once:
                repository.short.pop(name, None)
            with suppress(ConnectionError):
                for start in range(first, end, repository.block):
                    self.wfile.write(content[start : min(end, start + repository.block)])
                    time.sleep(repository.pause)
            self.close_connection = end < len(content)
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub = Hub(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def etag(name: str, content: bytes) -> str:
    """SHA-256 of a large file, git's blob id of a small one."""
    if name.endswith(LARGE):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def model_info(identifier: str, repository: Repository) -> dict[str, Any]:
    """What /api/models/ID answers."""
    siblings: list[dict[str, Any]] = []
    for name, content in repository.files.items():
        entry: dict[str, Any] = {"rfilename": name, "size": len(content), "blobId": etag(name, content)}
        if name.endswith(LARGE):
            entry["lfs"] = {"sha256": etag(name, content), "size": len(content), "pointerSize": 134}
        siblings.append(entry)
    return {"id": identifier, "sha": repository.commit, "private": False, "gated": False, "downloads": 0, "likes": 0,
            "tags": [], "siblings": siblings}  # fmt: skip


def small_model(variant: str = "", dtype: torch.dtype = torch.float32, second: bool = False) -> dict[str, bytes]:
    """Files {name: content} of a repository in diffusers format whose parts hold one tensor each: too small to run.

    variant: "" or ".fp16", in the names of the weights; second: with SDXL's second text encoder and tokenizer.
    """
    index: dict[str, Any] = {"_class_name": "StableDiffusionPipeline"}
    files = {"scheduler/scheduler_config.json": b'{"of": "scheduler"}'}
    for number in ("", "_2") if second else ("",):
        vocabulary = json.dumps({"of": f"tokenizer{number}"}).encode()
        files |= {f"tokenizer{number}/vocab.json": vocabulary, f"tokenizer{number}/merges.txt": b"#" + vocabulary}
    parts = {"unet": "diffusion_pytorch_model", "vae": "diffusion_pytorch_model", "text_encoder": "model"}
    for part, stem in {**parts, **({"text_encoder_2": "model"} if second else {})}.items():
        index[part] = ["library", "Class"]
        count = 2000 if part == "unet" else 1000
        files[f"{part}/config.json"] = json.dumps({"of": part}).encode()
        files[f"{part}/{stem}{variant}.safetensors"] = save({part: torch.arange(count).to(dtype)})
    return {"model_index.json": json.dumps(index).encode(), **files}


def read_folder(folder: Path) -> dict[str, bytes]:
    """{name: content} of all files of a folder, as a repository's."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
