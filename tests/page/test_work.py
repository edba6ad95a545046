"""Work in the page in Chromium: nothing is lost, what is wrong is said, and masks can be corrected by hand."""

import json
import socket
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("playwright.sync_api", reason="the page's tests need the package playwright")

from page_browser import CHROMIUM, UiServer, Visitor, png, record
from playwright.sync_api import Dialog

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no Chromium: apt-get install chromium, or set CHROMIUM to one")

DATA = Path(__file__).parent.parent / "data"
SCENE = np.array(Image.open(DATA / "ui_scene.png").convert("RGB"))
THING = json.loads((DATA / "ui_scene.json").read_text())["words"][0]
INSIDE, OUTSIDE = (250.0, 75.0), (20.0, 25.0)  # pixels (x, y) of the horse and of the background


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    examples = tmp_path_factory.mktemp("examples")
    Image.fromarray(SCENE).save(examples / "a_scene.png")
    running = UiServer("--model", "tiny", "--device", "cpu", "--examples", str(examples))
    yield running
    running.stop()


@pytest.fixture
def visitor(server, browser):
    """A person with an empty profile who has opened the scene."""
    person = Visitor(browser, server.address)
    person.open(png(SCENE), "scene.png")
    yield person
    assert person.complaints == []
    person.close()


def find(visitor: Visitor, text: str) -> None:
    visitor.tool("text")
    visitor.page.fill("#iseg-words", text)
    visitor.page.keyboard.press("Enter")
    visitor.until("(app) => app.document.now.objects.length > 0 && !app.progress.busyText")
    visitor.settle()


def hint(visitor: Visitor) -> str:
    return visitor.page.locator(".toast.hint").last.inner_text()


def reload(visitor: Visitor) -> None:
    visitor.page.reload(wait_until="commit")
    visitor.page.wait_for_selector(".iseg[data-state=started]")
    visitor.settle()


# ---- nothing is lost


def test_work_and_its_history_survive_a_reload_and_another_image(visitor):
    visitor.click(*INSIDE)
    visitor.slide("threshold", 0.2)
    state, shown = visitor.state()["objects"], visitor.shown()
    reload(visitor)
    assert visitor.state()["objects"] == state
    np.testing.assert_array_equal(visitor.shown(), shown)
    visitor.open(png(SCENE[:, ::-1]), "mirrored.png")
    assert visitor.state()["objects"] == []
    visitor.page.click("[data-do=open]")
    visitor.page.click("[data-recent='scene.png']")
    visitor.until("(app) => app.image.name === 'scene.png'")
    visitor.settle()
    assert visitor.state()["objects"] == state
    while visitor.page.locator("[data-do=undo]").is_enabled():
        visitor.page.click("[data-do=undo]")
        visitor.settle()  # the button follows with the next frame
    assert visitor.state()["objects"] == []


def test_leaving_is_guarded_while_something_is_not_kept_yet(visitor):
    asked = []

    def answer(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.accept()

    visitor.page.on("dialog", answer)
    visitor.click(*INSIDE)
    visitor.settle()
    visitor.page.reload(wait_until="commit")
    assert asked == []
    visitor.page.wait_for_selector(".iseg[data-state=started]")
    visitor.settle()
    visitor.click(*OUTSIDE)  # a page that a person touched may ask
    visitor.run("(app) => { app.keeper.store.put = () => new Promise(() => {}); app.document.changed(); }")
    visitor.page.reload(wait_until="commit")
    assert asked == ["beforeunload"]
    visitor.page.wait_for_selector(".iseg[data-state=started]")  # closing a page that is still loading can hang


def test_a_server_that_goes_away_and_comes_back_costs_nothing(browser):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    options = ("--model", "tiny", "--device", "cpu", "--port", port)
    first = UiServer(*options)
    person = Visitor(browser, first.address)
    try:
        person.open(png(SCENE), "scene.png")
        first.stop()
        person.click(*INSIDE)
        person.page.wait_for_selector(".badge[data-state=offline]")
        assert "offline" in person.page.inner_text(".badge")
        person.screenshot("offline")
        assert len(person.state()["objects"]) == 1
        first = UiServer(*options)
        person.page.wait_for_selector(".badge[data-state=ready]")
        person.settle()
        shown = person.shown()
        assert shown.any()
        np.testing.assert_array_equal(person.picture("mask") > 0, shown > 0)
    finally:
        person.close()
        first.stop()


def test_a_request_that_fails_is_tried_again_and_not_saved_unseen(visitor):
    visitor.run(
        """(app) => {
          const { solve, prepare } = app.server.functions;
          let left = 2;
          app.server.functions.solve = (request) =>
            left-- > 0 ? { ok: false, error: "out of memory", code: "internal" } : solve(request);
        }"""
    )
    visitor.click(*INSIDE)
    assert "out of memory" in visitor.error()
    visitor.settle()
    shown = visitor.shown()
    assert shown.any()
    np.testing.assert_array_equal(visitor.picture("mask"), shown)


# ---- limits


def test_seventy_objects_are_shown_saved_and_loaded_and_the_limit_holds_where_they_are_made(visitor):
    add = """(app, count) => { for (let k = 0; k < count; k++) {
      const [x, y] = [4 * (k % 70), 3 * (k % 70)];
      app.document.addMark("boxes", [x, y, x + 30, y + 25]); } }"""
    visitor.run(add, 70)
    visitor.settle()
    assert visitor.run("(app) => app.document.visible.filter((each) => app.solver.mapsOf(each)).length") == 70
    session = visitor.save("session")
    np.testing.assert_array_equal(visitor.picture("mask"), visitor.shown())
    visitor.run("(app) => app.document.clear()")
    files = {"name": "session.json", "mimeType": "application/json", "buffer": session}
    visitor.page.set_input_files("[data-ref=session-file]", files)
    visitor.until("(app) => app.document.now.objects.length === 70")
    visitor.run("(app) => { app.document.limit = 70; }")
    visitor.tool("box")
    visitor.drag((10, 10), (90, 90))
    assert "70 objects already" in hint(visitor)
    assert len(visitor.state()["objects"]) == 70


def test_many_words_and_long_names_can_be_changed_and_saved(visitor):
    words = visitor.run("(app) => app.progress.model.words").copy()[:16]
    find(visitor, "; ".join(words))
    visitor.run("(app) => app.document.edit(app.document.now.selected, (object) => (object.name = 'n'.repeat(150)))")
    visitor.slide("entropy", 50)
    visitor.settle()
    assert visitor.page.locator(".objects .kind", has_text="failed").count() == 0
    coco = json.loads(visitor.save("coco"))
    assert "n" * 150 in [entry["name"] for entry in coco["categories"]]


def test_words_found_for_one_image_never_show_on_another(visitor):
    visitor.run("(app, word) => { void app.words.find(word); }", THING)
    visitor.open(png(SCENE[:200]), "other.png")
    visitor.page.wait_for_timeout(1500)
    visitor.settle()
    assert visitor.state()["objects"] == []


# ---- small things that cost work


def test_escape_ends_a_drag_and_deletes_nothing(visitor):
    visitor.click(*INSIDE)
    visitor.tool("box")
    visitor.page.mouse.move(*visitor.place(30, 30))
    visitor.page.mouse.down()
    visitor.page.mouse.move(*visitor.place(90, 90), steps=3)
    visitor.page.keyboard.press("Escape")
    visitor.page.mouse.up()
    assert len(visitor.state()["objects"]) == 1
    visitor.page.keyboard.press("Escape")
    assert len(visitor.state()["objects"]) == 1
    assert visitor.state()["selected"] is None


def test_a_window_that_changes_while_the_layout_does_throws_nothing(visitor):
    """The observer of the stage's size must not change that size: a busy browser would report a loop."""
    visitor.run(
        """(app) => {
          const draw = app.progress.draw.bind(app.progress);
          let turn = 0;
          app.progress.draw = () => { draw(); app.refs.hint.style.minHeight = `${40 + 25 * (turn++ % 2)}px`; };
        }"""
    )
    for width in (1200, 1100, 1000, 1280):
        visitor.page.set_viewport_size({"width": width, "height": 720})
        visitor.page.wait_for_timeout(60)
    visitor.settle()
    assert visitor.complaints == []


def test_a_pointer_that_is_gone_and_a_picture_that_cannot_be_read_throw_nothing(visitor):
    visitor.tool("box")
    visitor.run(
        "(app) => app.stage.canvas.dispatchEvent(new PointerEvent('pointerdown', { pointerId: 77, bubbles: true,"
        " clientX: 500, clientY: 300 }))"
    )
    visitor.run("(app) => app.cancelDrag()")
    visitor.run(
        "(app) => void app.gallery.reopen({ id: 'x', imageId: 'x', name: 'lost.png',"
        " picture: 'data:image/webp;base64,AA' })"
    )
    assert "lost.png" in visitor.error()


def test_a_box_may_begin_outside_the_image(visitor):
    visitor.tool("box")
    visitor.drag((-15, 5), (100, 90))
    box = visitor.state()["objects"][0]["marks"]["boxes"][0]
    assert box[0] == 0


def test_a_mark_on_a_hidden_object_shows_it(visitor):
    visitor.click(*INSIDE)
    visitor.page.click(".objects li >> text=hide")
    visitor.click(INSIDE[0] + 20, INSIDE[1])
    assert not visitor.state()["objects"][0]["hidden"]


def test_finding_twice_makes_no_duplicates_and_absent_words_take_nothing(visitor):
    find(visitor, THING)
    alone = visitor.shown()
    find(visitor, f"{THING}; boat")
    objects = visitor.state()["objects"]
    assert [each["name"] for each in objects] == [THING, "boat"]
    assert [each["absent"] for each in objects] == [False, True]
    assert visitor.page.locator(".objects .kind", has_text="not found").count() == 1
    assert set(np.unique(visitor.shown())) == set(np.unique(alone)) == {0, 1}
    visitor.screenshot("not_found")


def test_the_theme_is_kept_and_messages_cover_no_image(visitor):
    visitor.page.click("[data-do=theme]")
    visitor.run("(app) => { app.messages.error('x '.repeat(200)); app.messages.hint('a hint'); }")
    stage = visitor.page.locator("[data-ref=stage]").bounding_box()
    for toast in visitor.page.locator(".toast").all():
        assert toast.bounding_box()["x"] >= stage["x"] + stage["width"]
    reload(visitor)
    assert visitor.run("() => document.body.classList.contains('dark')")


def test_one_name_is_one_category_and_an_empty_mask_is_told(visitor):
    for box in ((10, 10, 60, 60), (200, 40, 300, 140), (100, 150, 160, 220)):
        visitor.run("(app, box) => app.document.addMark('boxes', box)", list(box))
    visitor.run(
        """(app) => app.document.now.objects.forEach(({ id }, k) =>
          app.document.edit(id, (object) => { object.name = k < 2 ? "cat" : "nothing"; }))"""
    )
    erase = "{ points: [[160, 120]], radius: 900, erases: true, order: 1 }"
    visitor.run(f"(app) => app.document.edit(3, (object) => {{ object.strokes.push({erase}); }})")
    visitor.settle()
    assert visitor.page.locator(".objects .kind", has_text="empty mask").count() == 1
    coco = json.loads(visitor.save("coco"))
    assert [entry["name"] for entry in coco["categories"]] == ["cat"]
    assert [each["category_id"] for each in coco["annotations"]] == [1, 1]
    assert "nothing" in hint(visitor)


# ---- corrections


def test_brush_and_eraser_correct_any_object_and_are_saved(visitor):
    find(visitor, THING)
    before = visitor.shown()
    visitor.tool("brush")
    visitor.run("(app) => app.setBrush(12)")
    visitor.drag((40, 40), (90, 40))
    painted = visitor.shown()
    assert (painted[38:43, 45:85] == 1).all()
    visitor.tool("eraser")
    visitor.drag((230, 70), (270, 70))
    corrected = visitor.shown()
    assert not corrected[66:75, 235:265].any()
    visitor.screenshot("brush")
    np.testing.assert_array_equal(visitor.picture("mask"), corrected)
    visitor.page.click("[data-do=undo]")
    visitor.page.click("[data-do=undo]")
    np.testing.assert_array_equal(visitor.shown(), before)


def test_an_object_can_be_painted_from_nothing(visitor):
    visitor.tool("brush")
    visitor.drag((40, 40), (60, 60))
    shown = visitor.shown()
    assert shown[50, 50] == 1
    np.testing.assert_array_equal(visitor.picture("mask"), shown)


def test_several_kinds_of_prompts_make_one_object(visitor):
    find(visitor, THING)
    visitor.tool("point")
    visitor.click(*INSIDE)
    visitor.click(*OUTSIDE, button="right")
    visitor.page.keyboard.down("Shift")
    visitor.tool("box")
    visitor.drag((150, 20), (319, 160))
    visitor.page.keyboard.up("Shift")
    objects = visitor.state()["objects"]
    assert len(objects) == 1
    assert objects[0]["words"]
    assert [len(objects[0]["marks"][kind]) for kind in ("points", "negative", "boxes")] == [1, 1, 1]
    shown = visitor.shown()
    assert shown.any()
    np.testing.assert_array_equal(visitor.picture("mask"), shown)


def test_marks_can_be_moved_and_deleted_and_masks_selected(visitor):
    visitor.click(*INSIDE)
    visitor.page.keyboard.press("n")
    visitor.click(*OUTSIDE)
    visitor.settle()
    visitor.tool("select")
    visitor.click(*INSIDE)
    assert visitor.state()["selected"] == 1
    visitor.drag(INSIDE, (INSIDE[0] + 10, INSIDE[1] + 20))
    assert np.allclose(visitor.state()["objects"][0]["marks"]["points"][0], (260, 95), atol=1)
    visitor.tool("point")
    visitor.click(180, 40)
    visitor.click(260, 95, button="right")
    assert len(visitor.state()["objects"][0]["marks"]["points"]) == 1
    visitor.tool("select")
    visitor.click(180, 40)
    visitor.page.keyboard.press("Delete")
    assert visitor.state()["objects"][0]["marks"]["points"] == []


@pytest.mark.parametrize("toggle", ["largest", "clicked", "holes", "smooth", "clip"])
def test_clean_up_is_shown_and_saved_alike(visitor, toggle):
    visitor.click(*INSIDE)
    visitor.run("(app) => app.document.addMark('boxes', [100.5, 20, 260, 120], true)")
    visitor.slide("threshold", 0.12)
    visitor.page.click(f"[data-clean={toggle}]")
    shown = visitor.shown()
    assert shown.any()
    saved = visitor.picture("mask")
    assert (saved != shown).mean() <= 1e-4


# ---- touch


def test_two_fingers_move_the_view_and_leave_no_mark(server, browser):
    person = Visitor(browser, server.address, 390, 844, has_touch=True, is_mobile=True)
    person.open(png(SCENE), "scene.png")
    scale = person.run("(app) => app.stage.view.scale")
    x, y = person.place(160, 120)
    session = person.context.new_cdp_session(person.page)

    def touch(kind: str, *points: tuple[float, float]) -> None:
        fingers = [{"x": px, "y": py, "id": k} for k, (px, py) in enumerate(points)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})

    touch("touchStart", (x - 20, y))
    touch("touchStart", (x - 20, y), (x + 20, y))
    touch("touchMove", (x - 60, y), (x + 60, y))
    touch("touchEnd")
    assert person.run("(app) => app.stage.view.scale") > 2 * scale
    assert person.state()["objects"] == []
    person.page.click("[data-do=zoom-fit]")
    person.page.touchscreen.tap(*person.place(*INSIDE))
    person.page.click("[data-do=subtract]")
    person.page.touchscreen.tap(*person.place(*OUTSIDE))
    marks = person.state()["objects"][0]["marks"]
    assert (len(marks["points"]), len(marks["negative"])) == (1, 1)
    person.settle()
    for button in person.page.locator(".iseg button:visible").all():
        box = button.bounding_box()
        assert box is not None
        assert min(box["width"], box["height"]) >= 40, button.inner_text()
    person.close()


def test_a_preview_shows_what_the_click_then_gives(visitor):
    visitor.page.click("[data-do=preview]")
    visitor.page.mouse.move(*visitor.place(20, 20))
    took = []
    for step in range(6):  # away and back, so that it is asked for anew
        visitor.page.mouse.move(*visitor.place(*(INSIDE if step % 2 else OUTSIDE)))
        visitor.until("(app) => app.preview.shown !== null")
        took.append(visitor.run("(app) => app.preview.shown.took"))
    visitor.screenshot("preview")
    record("preview_ms", sorted(took))
    region = np.array(visitor.run("(app) => Array.from(app.preview.shown.region)"))
    assert visitor.state()["objects"] == []
    visitor.click(*INSIDE)
    shown = visitor.shown()
    assert shown.any()
    np.testing.assert_array_equal(region.reshape(shown.shape), shown)
    visitor.page.click("[data-do=preview]")
    visitor.page.mouse.move(*visitor.place(60, 60))
    visitor.page.wait_for_timeout(150)
    assert visitor.run("(app) => app.preview.shown") is None


def test_zoomed_in_the_image_is_seen_at_its_own_resolution(visitor):
    large = np.array(Image.fromarray(SCENE).resize((3200, 2400)))
    visitor.open(large, "large.png")
    visitor.click(2500, 750)
    visitor.settle()
    visitor.page.keyboard.press("z")
    visitor.run("(app) => app.stage.show([2400, 700, 2600, 850])")
    visitor.until("(app) => app.stage.tiles.tile !== null")
    box = visitor.run("(app) => app.stage.tiles.tile.box")
    assert box[0] <= 2400 < 2600 <= box[2]
    visitor.slide("threshold", 0.3)
    visitor.page.click("[data-clean=holes]")
    visitor.run("(app) => app.document.addStroke({ points: [[2500, 760]], radius: 20, erases: true })")
    visitor.settle()
    visitor.until("(app) => app.stage.tiles.layer?.canvas && app.stage.tiles.layer.key === app.stage.tiles.layerWanted")
    visitor.screenshot("zoomed_in")
    x0, y0, x1, y1 = box
    sharp = visitor.run(
        "async (app, box) => { const { labelsIn } = await import(new URL('workbench/masktile.js', document.baseURI));"
        " return Array.from(labelsIn(app, box).labels); }",
        box,
    )
    saved = visitor.picture("mask")[y0:y1, x0:x1]
    assert saved.any()
    assert (np.array(sharp).reshape(saved.shape) == saved).mean() > 0.9999
