"""What the page's browser tests share: the server as users start it, Chromium, and words for what a person does."""

import io
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page

ROOT = Path(__file__).parent.parent
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser") or ""
ARTEFACTS = Path(os.environ.get("ISEG_ARTEFACTS", ROOT / "artefacts")) / "ui"
PATIENCE = 120_000  # ms; machines that run tests may be busy
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


class UiServer:
    """`ui/main.py` in a process of its own, at a port of its own choice."""

    def __init__(self, *options: str) -> None:
        environment = {
            **os.environ,
            "no_proxy": "localhost,127.0.0.1",
            "NO_PROXY": "localhost,127.0.0.1",
            "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": str(ROOT),  # this checkout, whatever is installed
        }
        self.log = ARTEFACTS / f"server_{os.getpid()}_{time.monotonic_ns()}.log"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("w") as log:
            command = [sys.executable, str(ROOT / "ui" / "main.py"), "--port", "0", *options]
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        self.address = self._wait()

    def _wait(self) -> str:
        deadline = time.monotonic() + PATIENCE / 1000
        while time.monotonic() < deadline:
            for line in self.log.read_text().splitlines():
                if line.startswith("iSeg is at "):
                    return line.removeprefix("iSeg is at ").split()[0]
            if self.process.poll() is not None:
                break
            time.sleep(0.2)
        self.stop()
        raise RuntimeError(f"the server did not start:\n{self.log.read_text()}")

    def stop(self) -> None:
        """End the process."""
        self.process.terminate()
        self.process.wait(30)


class Visitor:
    """A person at the page: what they do, and what they see."""

    def __init__(self, browser: Browser, address: str, width: int = 1280, height: int = 720, **context: Any) -> None:
        self.context = browser.new_context(
            viewport={"width": width, "height": height}, accept_downloads=True, **context
        )
        self.context.set_default_timeout(PATIENCE)
        self.elsewhere: list[str] = []
        self.complaints: list[str] = []
        self.context.route(lambda url: not url.startswith((address, "data:", "blob:")), self._refuse)
        self.page: Page = self.context.new_page()
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(address, wait_until="commit")
        self.page.wait_for_selector(".iseg[data-state=started]")

    def _refuse(self, route: Any) -> None:
        self.elsewhere.append(route.request.url)
        route.abort()

    def close(self) -> None:
        """Leave."""
        self.context.close()

    def run(self, script: str, argument: Any = None) -> Any:
        """A JavaScript function of (app, argument)."""
        return self.page.evaluate(f"(given) => ({script})(document.querySelector('.iseg').app, given)", argument)

    def until(self, script: str, argument: Any = None) -> None:
        """Wait until a JavaScript function of (app, argument) is true."""
        self.page.wait_for_function(f"(given) => ({script})(document.querySelector('.iseg').app, given)", arg=argument)

    def settle(self) -> None:
        """Wait until there is an image, a model, and nothing on its way."""
        self.until(
            "(app) => app.image?.prepared && !app.solver.busy && !app.frame"
            " && !app.progress.busyText && !app.progress.isWatching && !app.keeper.isDirty && !app.keeper.pending"
        )

    def open(self, image: np.ndarray | bytes, name: str = "scene.png") -> None:
        """Choose an image file."""
        data = image if isinstance(image, bytes) else png(image)
        self.page.set_input_files("#iseg-file", {"name": name, "mimeType": "image/png", "buffer": data})
        self.until("(app, name) => app.image?.name === name", name)
        self.settle()

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Where a pixel of the image is in the window."""
        where = self.run(
            "(app, [x, y]) => { const b = app.stage.canvas.getBoundingClientRect();"
            " const [u, v] = app.stage.view.toStage(x, y); return [b.left + u, b.top + v]; }",
            [x, y],
        )
        return where[0], where[1]

    def click(self, x: float, y: float, **options: Any) -> None:
        """Click a pixel of the image."""
        self.page.mouse.click(*self.place(x, y), **options)

    def drag(self, *points: tuple[float, float]) -> None:
        """Press at the first pixel, move over the others, release."""
        self.page.mouse.move(*self.place(*points[0]))
        self.page.mouse.down()
        for point in points[1:]:
            self.page.mouse.move(*self.place(*point), steps=4)
        self.page.mouse.up()

    def tool(self, name: str) -> None:
        """Choose a tool."""
        self.page.click(f"[data-tool={name}]")

    def slide(self, name: str, value: float) -> None:
        """Set a slider and let go of it."""
        self.page.locator(f"#iseg-{name}").evaluate(
            "(slider, value) => { slider.value = value; slider.dispatchEvent(new Event('input', {bubbles: true}));"
            " slider.dispatchEvent(new Event('change', {bubbles: true})); }",
            value,
        )

    def shown(self) -> np.ndarray:
        """The labels that the stage shows: (h, w) at view size."""
        self.settle()
        height, width, labels = self.run(
            "(app) => { app.setPanel(4); app.drawNow(); const p = app.stage.pictures; p.decide();"
            " return [p.height, p.width, Array.from(p.labels)]; }"
        )
        return np.array(labels, np.uint8).reshape(height, width)

    def state(self) -> dict[str, Any]:
        """The page's document: objects, selection, settings."""
        return self.run("(app) => structuredClone(app.document.now)")

    def save(self, kind: str) -> bytes:
        """Press a button of "Save"; the bytes of the file that arrives."""
        selector = "[data-do=save-session]" if kind == "session" else f"[data-save={kind}]"
        with self.page.expect_download() as download:
            self.page.click(selector)
        return Path(download.value.path()).read_bytes()

    def picture(self, kind: str) -> np.ndarray:
        """An exported picture as an array."""
        return np.array(Image.open(io.BytesIO(self.save(kind))))

    def error(self) -> str:
        """The text of the error that shows; it is then dismissed."""
        toast = self.page.locator(".toast.error")
        toast.first.wait_for()
        text = toast.first.locator("span").inner_text()
        toast.first.locator("button").click()
        return text

    def start_over(self) -> None:
        """No objects, the first tool, the overlay, the model's settings."""
        self.page.keyboard.press("Escape")
        self.run(
            "(app) => { app.document.reset(); app.document.touched.clear();"
            " app.document.adopt(app.progress.model.defaults);"
            " app.setTool('point'); app.setPanel(4); app.gallery.show(false); app.stage.fit(); app.refs.keys.close();"
            " app.refs.toasts.replaceChildren(); document.body.classList.remove('dark'); }"
        )
        self.settle()

    def screenshot(self, name: str) -> Path:
        """Keep a picture of the window among the artefacts."""
        path = ARTEFACTS / f"{name}.png"
        self.page.screenshot(path=path)
        return path


def png(image: np.ndarray) -> bytes:
    """(H, W, 3) uint8 -> PNG bytes."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def iou(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boolean masks."""
    return float((a & b).sum() / max(1, (a | b).sum()))


def record(name: str, content: Any) -> None:
    """Keep figures among the artefacts."""
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    (ARTEFACTS / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n")
