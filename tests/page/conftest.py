"""What the page's tests share: one Chromium for all of them."""

import os

import pytest
from page_browser import ARGUMENTS, CHROMIUM


@pytest.fixture(scope="session")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="the page's tests need the package playwright")
    with playwright.sync_playwright() as driver:
        environment = {**os.environ, "no_proxy": "localhost,127.0.0.1"}
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS, env=environment)
        yield opened
        opened.close()
