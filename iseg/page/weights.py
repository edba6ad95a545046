"""Getting the weights of the real model from the page: how much they are, how far they are, and a way to stop.

They are got by `iseg models --get` in a process of its own, which can be ended at any time; what had come by then stays
in the hub's cache, and the next time goes on from there.
"""

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from iseg.backbones.fetch import reason, remote_files
from iseg.backbones.find import none_found, row_sources
from iseg.backbones.load import holds_half, pick_device, pick_dtype
from iseg.backbones.model_files import model_files
from iseg.backbones.sources import Source
from iseg.backbones.table import load_row
from iseg.errors import InputError
from iseg.page.answers import Answer, Request
from iseg.page.engine import Engine
from iseg.page.model import BEST
from iseg.page.people import valid_token

ROOT = Path(__file__).parent.parent.parent


class Weights:
    """Tells of the weights of `BEST`, gets them, and has the engine switch to them. One at a time, for everybody."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._files: tuple[Source, dict[str, Any]] | None = None
        self._state: dict[str, Any] = {"running": False, "text": "", "error": ""}

    def requests(self) -> list[Callable[[Request], Answer]]:
        """The requests about weights."""
        return [self.weights_offer, self.weights_get, self.weights_stop]

    def state(self) -> dict[str, Any]:
        """How far it is: running, text (what is being done), error, and of the bytes: done, all."""
        with self._lock:
            state, files = dict(self._state), self._files
        done, total = _progress(*files) if files else (0, 0)
        return {**state, "done": done, "all": total}

    def weights_offer(self, request: Request) -> Answer:
        """What would be got: name, licence, source, and of the bytes: done (at hand already), all. Asks the hub."""
        valid_token(request.get("token"))
        row = load_row(BEST)
        source, files = self._files or self._look()
        done, total = _progress(source, files)
        return {"name": row.name, "licence": row.licence, "source": source.id, "done": done, "all": total}

    def weights_get(self, request: Request) -> Answer:
        """Begin."""
        valid_token(request.get("token"))
        with self._lock:
            if self._state["running"]:
                return {}
            self._state = {"running": True, "text": f"Getting {BEST}", "error": ""}
            log = tempfile.TemporaryFile()  # noqa: SIM115 (closed by `_wait`)
            command = [sys.executable, "-m", "iseg", "models", "--get", BEST, "--json"]
            command += ["--dtype", "float16" if self._half else "float32"]
            path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
            environment = {**os.environ, "PYTHONPATH": path, "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
            self._process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=log)
        threading.Thread(target=self._wait, args=(self._process, log), daemon=True, name="weights").start()
        return {}

    def weights_stop(self, request: Request) -> Answer:
        """End it; what has come stays for the next time."""
        valid_token(request.get("token"))
        self.close()
        return {}

    def close(self) -> None:
        """End what is being got."""
        with self._lock:
            process, self._process = self._process, None
        if process is not None:
            process.kill()  # the files are written so that this leaves nothing half: a part is a `.incomplete`

    def _wait(self, process: subprocess.Popen[bytes], log: Any) -> None:
        error = ""
        try:
            if self._files is None:
                self._look()
            code = process.wait()
            with self._lock:
                is_stopped, self._process = self._process is None, None
                self._state["text"] = f"Loading {BEST}"
            if not is_stopped:
                if code:
                    raise InputError(_last_line(log))
                self.engine.switch(BEST)
        except InputError as failure:
            error = str(failure)
            process.kill()
            process.wait()
        finally:
            log.close()
            with self._lock:
                self._process = None
                self._state = {"running": False, "text": "", "error": error}

    @property
    def _half(self) -> bool:
        settings = self.engine.settings
        return holds_half(pick_dtype(settings.dtype, pick_device(settings.device), load_row(BEST).cpu_dtype))

    def _look(self) -> tuple[Source, dict[str, Any]]:
        """The first source that answers, and its files. Raises InputError with every source's reason."""
        row = load_row(BEST)
        sources = [source for source in row_sources(row) if source.kind == "hub"]
        reasons = []
        for source in sources:
            try:
                found = (source, remote_files(source, model_files(self._half))[1])
            except Exception as error:  # hubs' clients raise what they like
                reasons.append(reason(error))
                continue
            with self._lock:
                self._files = found
            return found
        raise none_found(f"the weights of {BEST}", sources, reasons, "--model PATH")


def _progress(source: Source, files: Mapping[str, Any]) -> tuple[int, int]:
    """Bytes of the files that are in the hub's cache, parts included, and bytes of all."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    blobs = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=source.id, repo_type="model") / "blobs"
    done = 0
    for file in files.values():
        etag = file.lfs.sha256 if file.lfs else file.blob_id
        sizes = [_size(path) for path in blobs.glob(f"{etag}*")]
        done += min(max(sizes, default=0), file.size or 0)
    return done, sum(file.size or 0 for file in files.values())


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # a part was renamed to its whole meanwhile
        return 0


def _last_line(log: Any) -> str:
    log.seek(0)
    lines = [line.strip() for line in log.read().decode(errors="replace").splitlines() if line.strip()]
    return (lines[-1] if lines else f"{BEST} could not be got").removeprefix("error: ")
