"""Shared fixtures: where the goldens lie, the small SD-2.1-shaped model, the embedded model."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import golden_models
import numpy as np
import pytest
import torch
from fake_hub import Hub, running

ROOT = Path(__file__).parent.parent
LEFT_OUT = pytest.StashKey[int]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--integrations", action="store_true", help="run the tests with real tools too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left = [item for item in items if item.get_closest_marker("integration")]
    if left and not config.getoption("--integrations"):
        items[:] = [item for item in items if item not in left]
        config.hook.pytest_deselected(items=left)
        config.stash[LEFT_OUT] = len(left)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if LEFT_OUT in config.stash:
        count = config.stash[LEFT_OUT]
        terminalreporter.write_line(f"{count} tests with real tools left out: sh scripts/test.sh --integrations")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "integration: needs a real tool in an environment of its own, made from PyPI")
    # the models of the tests are small: threads that wait for each other cost more than they save on a busy machine
    torch.set_num_threads(1)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell starts what it runs in the background
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _state_of_its_own(tmp_path_factory) -> Iterator[None]:
    """Digests that the tests remember stay out of the user's state folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ISEG_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(autouse=True)
def _the_same_numbers_in_any_order() -> None:
    """What a test draws without a generator of its own does not depend on the tests before it."""
    torch.manual_seed(0)


@pytest.fixture
def hub(monkeypatch, tmp_path) -> Iterator[Hub]:
    """A hub on 127.0.0.1 that the hub's client asks, with an empty cache; nothing else can be reached."""
    from huggingface_hub import close_session, constants

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with running() as hub:
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_ETAG_TIMEOUT", 1)
        monkeypatch.setenv("ISEG_HOME", str(tmp_path / "state"))
        close_session()
        yield hub
        close_session()


@pytest.fixture(scope="session")
def goldens(tmp_path_factory) -> Path:
    """Folder with the small models of goldens f and g, tiny_sd21_shape/ and tiny_clip/ (image side)."""
    folder = tmp_path_factory.mktemp("goldens")
    golden_models.build(folder)
    return folder


@pytest.fixture(scope="session")
def all_goldens() -> Path:
    """Folder with all goldens and their tokenizer: ISEG_GOLDENS, else ../shared/goldens; skips where neither is."""
    folder = Path(os.environ.get("ISEG_GOLDENS", ROOT.parent / "shared" / "goldens"))
    if not (folder / "tiny_sd21_shape" / "tokenizer").is_dir():
        pytest.skip(f"no goldens at {folder}: set ISEG_GOLDENS to the folder that holds tiny_sd21_shape/")
    return folder


@pytest.fixture(scope="session")
def data() -> Path:
    """`tests/data/`: the goldens' inputs and outputs."""
    return Path(__file__).parent / "data"


@pytest.fixture(scope="session")
def tiny():
    """The embedded model with its own recipe, loaded once. Tests must not change it."""
    from iseg import ISeg

    return ISeg.from_pretrained("tiny", device="cpu")


@pytest.fixture
def scene() -> np.ndarray:
    """A non-square image (90, 140, 3) uint8: a red disc on green."""
    rows, columns = np.mgrid[:90, :140]
    image = np.zeros((90, 140, 3), np.uint8)
    image[..., 1] = 120 + (rows // 2)
    image[(rows - 40) ** 2 + (columns - 60) ** 2 < 25**2] = (200, 30, 40)
    return image
