"""Two tabs or two people at one image of a folder: what either does is kept, and what was deleted stays deleted."""

import json
from pathlib import Path

import pytest
from PIL import Image

pytest.importorskip("playwright.sync_api", reason="the page's tests need the package playwright")

from page_browser import CHROMIUM, UiServer, Visitor

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no Chromium: apt-get install chromium, or set CHROMIUM to one")

SCENE = Path(__file__).parent.parent / "data" / "ui_scene.png"


@pytest.fixture
def folder(tmp_path):
    Image.open(SCENE).convert("RGB").save(tmp_path / "scene.png")
    return tmp_path


@pytest.fixture
def server(folder):
    running = UiServer("--model", "tiny", "--device", "cpu", "--folder", str(folder))
    yield running
    running.stop()


def arrive(browser, server: UiServer, **context) -> Visitor:
    person = Visitor(browser, server.address, **context)
    person.until("(app) => app.image?.name === 'scene.png'")
    person.settle()
    return person


def write(person: Visitor) -> None:
    """Wait until the folder's file holds the person's work."""
    person.settle()
    person.run("async (app) => { await app.keeper.flush(); await app.folder.idle(); }")
    person.settle()


def colours(person: Visitor) -> list[str]:
    return sorted(each["colour"] for each in person.state()["objects"])


def paint(person: Visitor, colour: str, x: float) -> None:
    """A new object of a colour, painted at a column."""
    person.page.keyboard.press("n")
    person.tool("brush")
    person.drag((x, 30), (x + 15, 30))
    person.run(
        "(app, colour) => app.document.edit(app.document.now.selected, (each) => (each.colour = colour))", colour
    )


def test_two_people_lose_nothing_double_nothing_and_deleted_objects_stay_away(browser, server, folder):
    first = arrive(browser, server)
    for k, colour in enumerate(("#000001", "#000002")):
        paint(first, colour, 40 + 60 * k)
    write(first)
    second = arrive(browser, server)
    assert colours(second) == ["#000001", "#000002"]
    paint(second, "#000003", 200)
    write(second)
    first.run("(app) => app.document.remove(app.document.now.objects[0].id)")  # made from an older file: a conflict
    write(first)
    assert colours(first) == ["#000002", "#000003"]
    paint(second, "#000004", 260)  # a conflict here too: what the first deleted goes, what it has is not doubled
    write(second)
    assert colours(second) == ["#000002", "#000003", "#000004"]
    paint(first, "#000005", 120)
    write(first)
    held = json.loads((folder / "scene.png.iseg.json").read_text())["objects"]
    assert sorted(each["colour"] for each in held) == ["#000002", "#000003", "#000004", "#000005"]
    for person in (first, second):
        assert person.complaints == []
        person.close()


def test_an_object_deleted_before_the_tab_was_closed_does_not_come_back(browser, server):
    first = arrive(browser, server)
    for k, colour in enumerate(("#000001", "#000002")):
        paint(first, colour, 40 + 60 * k)
    write(first)
    first.run("(app) => { app.server.functions.folder_save = () => new Promise(() => {}); }")
    first.run("(app) => app.document.remove(app.document.now.objects[0].id)")
    first.settle()  # kept in the browser, not yet in the file
    state = first.context.storage_state(indexed_db=True)
    first.close()
    second = arrive(browser, server)
    paint(second, "#000003", 200)
    write(second)
    first = arrive(browser, server, storage_state=state)
    assert colours(first) == ["#000002", "#000003"]
    write(first)
    paint(second, "#000004", 260)
    write(second)
    assert colours(second) == ["#000002", "#000003", "#000004"]
    for person in (first, second):
        assert person.complaints == []
        person.close()
